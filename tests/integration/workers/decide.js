'use strict';
/**
 * The rules of Node, for a test. Each line of the input is an observation, answered with the actions, or a list of
 * deaths, [age, now] each, answered with the backoff after each of them.
 */

const readline = require('node:readline');
const recycling = require('../../../workers/node/recycling');
const { NO_BACKOFF, afterDeath } = require('../../../workers/node/respawning');

let state = recycling.newState();
let policy;

/** Names of Python as names of JavaScript: boot_timeout_seconds is bootTimeoutSeconds. */
const camelCase = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
const withNamesOfNode = (_, value) =>
  value === null || typeof value !== 'object' || Array.isArray(value)
    ? value
    : Object.fromEntries(Object.entries(value).map(([name, member]) => [camelCase(name), member]));

const backoffs = (deaths) => {
  let backoff = NO_BACKOFF;
  return deaths.map(([age, now]) => {
    backoff = afterDeath(backoff, age, now);
    return [backoff.earlyDeaths, backoff.earlyDeaths ? backoff.notBefore : null];
  });
};

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const moment = JSON.parse(line, withNamesOfNode);
  if (moment.deaths) {
    process.stdout.write(`${JSON.stringify(backoffs(moment.deaths))}\n`);
    return;
  }
  if (moment.policy) {
    ({ policy } = moment);
    state = recycling.newState();
  }
  state = recycling.requestReplacement(state, moment.requested);
  const decided = recycling.decide(state, moment.observed, policy);
  state = decided.state;
  const actions = decided.actions.map(({ verb, pid, reason }) => [verb, pid, reason]);
  process.stdout.write(`${JSON.stringify([actions, recycling.surplus(state)])}\n`);
});
