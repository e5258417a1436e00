'use strict';
/**
 * Which worker goes, and when: the rules of hca_workers/recycling.py, which has their reasons.
 * A test runs both on the same stories and compares what they decide.
 */

const LONGEST_WAIT = 3600;

/**
 * @typedef {object} Policy Times are seconds, memory is bytes.
 * @property {number} maxRss
 * @property {number} samples
 * @property {number} early
 * @property {number} maxSilence
 * @property {number} bootTimeout
 * @property {number} killTimeout
 * @property {number} minInterval
 *
 * @typedef {object} Worker What is seen of one process.
 * @property {number} pid
 * @property {number} age
 * @property {boolean} ready
 * @property {number} silence
 * @property {number | null} rss Of a sample taken just now.
 *
 * @typedef {object} Seen
 * @property {Worker[]} workers
 * @property {number} wanted
 * @property {number} now
 * @property {number[]} ended Those that ended since the last look, also before they were ever seen.
 *
 * @typedef {object} Act
 * @property {'replace' | 'drain' | 'kill' | 'note'} verb
 * @property {number} pid
 * @property {string} why
 *
 * @typedef {object} Replacement
 * @property {number} old
 * @property {number} begun
 * @property {Set<number>} beside
 * @property {boolean} helps
 * @property {number | null} drainingSince
 *
 * @typedef {object} State
 * @property {Map<number, number>} over
 * @property {Set<number>} early
 * @property {Set<number>} asked
 * @property {Set<number>} killed
 * @property {Replacement | null} replacement
 * @property {number} notBefore
 * @property {number} failures
 * @property {number | null} looked
 * @property {number} amnesty
 */

/** @returns {State} */
const newState = () => ({
  over: new Map(),
  early: new Set(),
  asked: new Set(),
  killed: new Set(),
  replacement: null,
  notBefore: -Infinity,
  failures: 0,
  looked: null,
  amnesty: -Infinity,
});

/** @param {State} state */
const surplus = (state) => (state.replacement === null ? 0 : 1);

/** @param {Policy} policy @param {number} failures */
const wait = (policy, failures) =>
  Math.max(policy.minInterval, Math.min(policy.minInterval * 2 ** Math.min(failures, 32), LONGEST_WAIT));

/** @param {State} state @param {Iterable<number>} pids @returns {State} */
const asked = (state, pids) => ({ ...state, asked: new Set([...state.asked, ...pids]) });

/** @param {State} before @param {Seen} seen @param {Policy} policy @returns {{state: State, acts: Act[]}} */
function decide(before, seen, policy) {
  const spared = hopeless(remembered(before, seen, policy), seen, policy);
  const change = spared.state.replacement;
  const decided = change === null ? begun(spared.state, seen, policy) : continued(spared.state, change, seen, policy);
  return { state: decided.state, acts: [...spared.acts, ...decided.acts] };
}

/** @param {State} state @param {Seen} seen @param {Policy} policy @returns {State} */
function remembered(state, seen, policy) {
  const there = new Set(seen.workers.map((worker) => worker.pid));
  const kept = (/** @type {Set<number>} */ pids) => new Set([...pids].filter((pid) => there.has(pid)));
  const over = new Map(seen.workers.map((worker) => [worker.pid, inARow(state.over.get(worker.pid) ?? 0, worker, policy)]));
  const early = kept(state.early);
  for (const { pid, age } of seen.workers) {
    const reached = (state.over.get(pid) ?? 0) < policy.samples && (over.get(pid) ?? 0) >= policy.samples;
    if (reached && age <= policy.early) early.add(pid);
  }
  const frozen = state.looked !== null && seen.now - state.looked > policy.maxSilence / 2;
  return {
    ...state,
    over,
    early,
    asked: kept(state.asked),
    killed: kept(state.killed),
    looked: seen.now,
    amnesty: frozen ? seen.now + policy.maxSilence : state.amnesty,
  };
}

/** @param {number} before @param {Worker} worker @param {Policy} policy */
function inARow(before, worker, policy) {
  if (worker.rss === null) return before;
  return worker.rss > policy.maxRss ? before + 1 : 0;
}

/** @param {State} state @param {Seen} seen @param {Policy} policy @returns {{state: State, acts: Act[]}} */
function hopeless(state, seen, policy) {
  if (seen.now < state.amnesty) return { state, acts: [] };
  /** @type {Act[]} */
  const acts = [];
  const draining = state.replacement?.drainingSince != null ? state.replacement.old : null;
  for (const { pid, ready, age, silence } of seen.workers) {
    if (state.killed.has(pid)) continue;
    if (!ready && age > policy.bootTimeout) {
      acts.push(act('kill', pid, `it is not ready after ${policy.bootTimeout} s`));
    } else if (ready && silence > policy.maxSilence && pid !== draining) {
      acts.push(act('kill', pid, `its loop has not turned for ${policy.maxSilence} s`));
    }
  }
  return { state: { ...state, killed: new Set([...state.killed, ...acts.map(({ pid }) => pid)]) }, acts };
}

/** @param {State} state @param {Seen} seen @param {Policy} policy @returns {{state: State, acts: Act[]}} */
function begun(state, seen, policy) {
  const settled = seen.workers.length >= seen.wanted && state.killed.size === 0;
  if (!settled || !seen.workers.every((worker) => worker.ready)) return { state, acts: [] };
  const spare = seen.workers.length > seen.wanted;
  const over = (/** @type {Worker} */ worker) => state.over.get(worker.pid) ?? 0;
  const tooBig = seen.workers.filter((worker) => over(worker) >= policy.samples && seen.now >= state.notBefore);
  const due = tooBig.length ? tooBig : seen.workers.filter((worker) => state.asked.has(worker.pid));
  if (!due.length && !spare) return { state, acts: [] };
  const first = (/** @type {Worker} */ a, /** @type {Worker} */ b) =>
    over(b) - over(a) || b.age - a.age || a.pid - b.pid;
  const old = [...(due.length ? due : seen.workers)].sort(first)[0];
  const replacement = {
    old: old.pid,
    begun: seen.now,
    beside: new Set(seen.workers.map((worker) => worker.pid)),
    helps: !state.early.has(old.pid),
    drainingSince: spare ? seen.now : null,
  };
  const next = { ...state, replacement };
  if (spare) return { state: next, acts: [act('drain', old.pid, 'there is one more than wanted')] };
  const why = tooBig.length ? 'it holds more memory than it may' : 'somebody asked for it';
  return { state: next, acts: [act('replace', old.pid, why)] };
}

/**
 * @param {State} state @param {Replacement} change @param {Seen} seen @param {Policy} policy
 * @returns {{state: State, acts: Act[]}}
 */
function continued(state, change, seen, policy) {
  if (seen.workers.every((worker) => worker.pid !== change.old)) {
    return { state: ended(state, policy, seen.now, change.helps ? 0 : state.failures + 1), acts: [] };
  }
  if (change.drainingSince !== null) return drained(state, change, policy, seen.now);
  const died = seen.ended.some((pid) => !change.beside.has(pid));
  if (died || seen.now - change.begun > 2 * policy.bootTimeout) {
    const next = ended({ ...state, asked: new Set() }, policy, seen.now, state.failures + 1);
    const seconds = wait(policy, next.failures);
    const why = `its replacement did not become ready, so it stays; next try in ${seconds} s`;
    return { state: next, acts: [act('note', change.old, why)] };
  }
  const others = seen.workers.filter((worker) => worker.ready && worker.pid !== change.old);
  if (others.length < seen.wanted) return { state, acts: [] };
  return {
    state: { ...state, replacement: { ...change, drainingSince: seen.now } },
    acts: [act('drain', change.old, 'another one is ready in its place')],
  };
}

/**
 * @param {State} state @param {Replacement} change @param {Policy} policy @param {number} now
 * @returns {{state: State, acts: Act[]}}
 */
function drained(state, change, policy, now) {
  const late = change.drainingSince !== null && now - change.drainingSince > policy.killTimeout;
  if (!late || state.killed.has(change.old)) return { state, acts: [] };
  const killed = new Set([...state.killed, change.old]);
  return {
    state: { ...state, killed },
    acts: [act('kill', change.old, `it has not finished within ${policy.killTimeout} s`)],
  };
}

/** @param {State} state @param {Policy} policy @param {number} now @param {number} failures @returns {State} */
const ended = (state, policy, now, failures) => ({
  ...state,
  replacement: null,
  failures,
  notBefore: now + wait(policy, failures),
});

/** @param {Act['verb']} verb @param {number} pid @param {string} why @returns {Act} */
const act = (verb, pid, why) => ({ verb, pid, why });

module.exports = { asked, decide, newState, surplus };
