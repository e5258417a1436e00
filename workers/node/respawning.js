'use strict';
/** When a dead worker is started again: the same rules as hca_workers/rules/respawning.py. */

/** A worker that reached this age did not die of its start. */
const STEADY_SECONDS = 60;
const LONGEST_DELAY_SECONDS = 30;

/**
 * @typedef {object} Backoff
 * @property {number} earlyDeaths Early deaths in a row.
 * @property {number} notBefore Monotonic seconds before which no worker is started because of them.
 */

/** @type {Backoff} */
const NO_BACKOFF = { earlyDeaths: 0, notBefore: -Infinity };

/** @param {Backoff} before @param {number} ageSeconds @param {number} now @returns {Backoff} */
function afterDeath(before, ageSeconds, now) {
  if (ageSeconds >= STEADY_SECONDS) return NO_BACKOFF;
  const earlyDeaths = before.earlyDeaths + 1;
  return { earlyDeaths, notBefore: now + Math.min(2 ** Math.min(earlyDeaths - 1, 32), LONGEST_DELAY_SECONDS) };
}

module.exports = { NO_BACKOFF, afterDeath };
