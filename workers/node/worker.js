'use strict';
/**
 * Loaded into each worker before the script: it beats, goes politely, and writes its heap down when asked.
 *
 * Told to go, a worker stops to accept, answers what comes on the connections that it has for a moment
 * more, each with `Connection: close`, and closes those that are idle then. When all are closed it gets
 * a SIGTERM, like any process that is to end: the script may have pools to close.
 */

const cluster = require('node:cluster');
const diagnostics = require('node:diagnostics_channel');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const v8 = require('node:v8');

const BEAT_EVERY = 500;
const LINGER = 3000;
const KEPT = 5;

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

const leave = () => {
  if (leaves) return;
  leaves = true;
  closed();
  setTimeout(() => {
    // Now also the listening sockets of which nothing had been asked before, and those that are not of HTTP.
    cluster.worker?.disconnect();
    setInterval(closeIdle, BEAT_EVERY);
    closeIdle();
    closed().then(() => process.kill(process.pid, 'SIGTERM'));
  }, LINGER);
};

/** @param {string} directory */
const writeHeap = (directory) => {
  const stamp = new Date().toISOString().replace(/[-:]|\.\d+Z/g, '');
  const written = path.join(directory, `${stamp}-${process.pid}.part`);
  v8.writeHeapSnapshot(written);
  fs.renameSync(written, written.replace('.part', '.heapsnapshot'));
  const all = fs.readdirSync(directory).filter((name) => name.endsWith('.heapsnapshot'));
  for (const old of all.sort().slice(0, -KEPT)) fs.rmSync(path.join(directory, old), { force: true });
};

if (cluster.isWorker) {
  const directory = process.env.HCA_SNAPSHOT_DIR;
  process.on('SIGUSR2', () => directory && writeHeap(directory));
  process.on('message', (/** @type {any} */ message) => message?.hca === 'drain' && leave());
  // Where the primary is gone, nobody starts this worker anew: it ends with it.
  cluster.worker?.on('disconnect', leave);
  const beat = () => process.connected && process.send?.({ hca: 'beat' });
  setInterval(beat, BEAT_EVERY).unref();
}
