'use strict';
/** Decides what each line of its input shows, and writes the acts: the rules of Node, for a test of Python. */

const readline = require('node:readline');
const recycling = require('../../../workers/node/recycling');

let state = recycling.newState();
let policy;

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const told = JSON.parse(line);
  if (told.policy) {
    ({ policy } = told);
    state = recycling.newState();
  }
  state = recycling.asked(state, told.asked);
  const decided = recycling.decide(state, told.seen, policy);
  state = decided.state;
  const acts = decided.acts.map(({ verb, pid, why }) => [verb, pid, why]);
  process.stdout.write(`${JSON.stringify([acts, recycling.surplus(state)])}\n`);
});
