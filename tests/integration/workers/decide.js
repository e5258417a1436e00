'use strict';
/** Decides on the observation in each line of its input, and writes the actions: the rules of Node, for a test. */

const readline = require('node:readline');
const recycling = require('../../../workers/node/recycling');

let state = recycling.newState();
let policy;

/** Names of Python as names of JavaScript: boot_timeout_seconds is bootTimeoutSeconds. */
const camelCase = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
const withNamesOfNode = (_, value) =>
  value === null || typeof value !== 'object' || Array.isArray(value)
    ? value
    : Object.fromEntries(Object.entries(value).map(([name, member]) => [camelCase(name), member]));

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const moment = JSON.parse(line, withNamesOfNode);
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
