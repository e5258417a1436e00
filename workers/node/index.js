'use strict';
/** What a script may ask, in any of its workers. */

let asked = 0;

/**
 * How all workers of this server are; empty where no primary of this package runs.
 * @returns {Promise<{worker: number, seconds_since_beat: number, rss_bytes: number}[]>}
 */
function health() {
  if (!process.connected || !process.send) return Promise.resolve([]);
  asked += 1;
  const id = asked;
  return new Promise((resolve) => {
    const heard = (/** @type {any} */ message) => {
      if (message?.hca === 'health' && message.id === id) answered(message.workers);
    };
    const left = () => answered([]);
    const answered = (/** @type {any[]} */ workers) => {
      process.off('message', heard);
      process.off('disconnect', left);
      resolve(workers);
    };
    process.on('message', heard);
    process.on('disconnect', left);
    process.send?.({ hca: 'health', id });
  });
}

module.exports = { health };
