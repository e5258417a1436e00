// The cluster of Node: as many processes as the environment asks for, and a new one for each that ends.
const cluster = require("node:cluster");

if (cluster.isPrimary) {
  process.on("SIGTERM", () => process.exit());
  cluster.on("exit", () => cluster.fork());
  for (let started = 0; started < Number(process.env.WEB_CONCURRENCY); started++) cluster.fork();
} else {
  require("/usr/share/nodejs/http-server/bin/http-server");
}
