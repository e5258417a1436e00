// The same on Node: the process id of the worker that a connection has reached.
const http = require('http');

http.createServer((_request, response) => response.end(String(process.pid)))
  .listen(Number(process.env.PORT), '127.0.0.1');
