'use strict';
/**
 * Loaded into each worker before the script: heartbeat, graceful shutdown, and a heap snapshot after it.
 *
 * A worker that drains stops accepting connections. For a few seconds it answers requests on the connections that it
 * has, each with `Connection: close`, then it closes the idle ones. When all are closed it gets a SIGTERM, like any
 * process that is to end: the script may have pools to close.
 */

const cluster = require('node:cluster');
const diagnostics = require('node:diagnostics_channel');
const net = require('node:net');

const { writeHeap } = require('./heap');
const { settingsFrom } = require('./settings');

const BEAT_INTERVAL_MS = 500;
/** At most half of the kill timeout: the other half is for requests in progress. */
const LINGER_MS = Math.min(3000, settingsFrom(process.env).policy.killTimeoutSeconds * 500);

/** @type {Set<import('node:http').Server>} */
const servers = new Set();
let draining = false;

diagnostics.subscribe('http.server.request.start', (/** @type {any} */ { server, response }) => {
  servers.add(server);
  if (draining) response.setHeader('Connection', 'close');
});

// `close` of net: that of http closes idle connections at once.
const closed = () =>
  Promise.all([...servers].map((server) => new Promise((resolve) => net.Server.prototype.close.call(server, resolve))));
const closeIdle = () => {
  for (const server of servers) server.closeIdleConnections();
};

/** @param {{directory: string, maxBytes: number} | null} [snapshots] Where to write a heap snapshot, if one is due. */
const drain = (snapshots) => {
  if (draining) return;
  draining = true;
  closed();
  setTimeout(() => {
    // Also closes listening sockets that have had no request yet, and those that do not speak HTTP.
    cluster.worker?.disconnect();
    setInterval(closeIdle, BEAT_INTERVAL_MS);
    closeIdle();
    closed()
      .then(() => snapshots && writeHeap(snapshots.directory, snapshots.maxBytes))
      .finally(() => process.kill(process.pid, 'SIGTERM'));
  }, LINGER_MS);
};

if (cluster.isWorker) {
  process.on('message', (/** @type {any} */ message) => message?.hca === 'drain' && drain(message.snapshots));
  // Without its primary, a worker would never be replaced: it ends with it.
  cluster.worker?.on('disconnect', () => drain());
  const beat = () => process.connected && process.send?.({ hca: 'beat' });
  setInterval(beat, BEAT_INTERVAL_MS).unref();
}
