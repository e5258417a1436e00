// The same two routes with Koa, for PM2 to run one process per CPU of.
const products = require(process.env.PRODUCTS);
const Koa = require('koa');

const byId = new Map(products.map((product) => [product.id, product]));
const page = JSON.stringify({
  items: products.slice(0, 10),
  next: `/products?limit=10&after=${products[9].id}`,
});

const app = new Koa();
app.use((context) => {
  if (context.path === '/products') {
    context.type = 'application/json';
    context.body = page;
  } else {
    context.body = byId.get(context.path.slice('/products/'.length));
  }
});
app.listen(Number(process.env.PORT), '127.0.0.1');
