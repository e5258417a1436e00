'use strict';
/** The functions that a script may call, in any of its workers. */

let requests = 0;

/**
 * The state of all ready workers of this server; empty without a primary of this package.
 * @returns {Promise<{worker: number, seconds_since_beat: number, rss_bytes: number}[]>}
 */
function health() {
  if (!process.connected || !process.send) return Promise.resolve([]);
  requests += 1;
  const id = requests;
  return new Promise((resolve) => {
    const onMessage = (/** @type {any} */ message) => {
      if (message?.hca === 'health' && message.id === id) settle(message.workers);
    };
    const onDisconnect = () => settle([]);
    const settle = (/** @type {any[]} */ workers) => {
      process.off('message', onMessage);
      process.off('disconnect', onDisconnect);
      resolve(workers);
    };
    process.on('message', onMessage);
    process.on('disconnect', onDisconnect);
    process.send?.({ hca: 'health', id });
  });
}

module.exports = { health };
