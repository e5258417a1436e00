'use strict';
/**
 * Loaded into each worker before the script: it beats, goes politely, and writes its heap down when it has gone.
 *
 * Told to go, a worker stops to accept, answers what comes on the connections that it has for a moment
 * more, each with `Connection: close`, and closes those that are idle then. When all are closed it gets
 * a SIGTERM, like any process that is to end: the script may have pools to close.
 */

const cluster = require('node:cluster');
const diagnostics = require('node:diagnostics_channel');
const net = require('node:net');

const { writeHeap } = require('./heap');
const { settingsFrom } = require('./settings');

const BEAT_EVERY = 500;
/** Where a worker is killed soon, it is half of the time until then: the rest is for requests that are under way. */
const LINGER = Math.min(3000, settingsFrom(process.env).policy.killTimeout * 500);

/** @type {Set<import('node:http').Server>} */
const servers = new Set();
let leaves = false;

diagnostics.subscribe('http.server.request.start', (/** @type {any} */ { server, response }) => {
  servers.add(server);
  if (leaves) response.setHeader('Connection', 'close');
});

// Of net, since that of http closes idle connections at once.
const closed = () =>
  Promise.all([...servers].map((server) => new Promise((resolve) => net.Server.prototype.close.call(server, resolve))));
const closeIdle = () => {
  for (const server of servers) server.closeIdleConnections();
};

/** @param {{directory: string, most: number}} [heap] Where it is to be written, if it is. */
const leave = (heap) => {
  if (leaves) return;
  leaves = true;
  closed();
  setTimeout(() => {
    // Now also the listening sockets of which nothing had been asked before, and those that are not of HTTP.
    cluster.worker?.disconnect();
    setInterval(closeIdle, BEAT_EVERY);
    closeIdle();
    closed()
      .then(() => heap && writeHeap(heap.directory, heap.most))
      .finally(() => process.kill(process.pid, 'SIGTERM'));
  }, LINGER);
};

if (cluster.isWorker) {
  process.on('message', (/** @type {any} */ message) => message?.hca === 'drain' && leave(message.heap));
  // Where the primary is gone, nobody starts this worker anew: it ends with it.
  cluster.worker?.on('disconnect', () => leave());
  const beat = () => process.connected && process.send?.({ hca: 'beat' });
  setInterval(beat, BEAT_EVERY).unref();
}
