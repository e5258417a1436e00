// A cluster that answers with the id of the process that answers.
const cluster = require("node:cluster");
const http = require("node:http");

if (cluster.isPrimary) {
  for (let started = 0; started < Number(process.env.WEB_CONCURRENCY); started++) cluster.fork();
} else {
  http.createServer((_, response) => response.end(String(process.pid))).listen(Number(process.env.PORT));
}
