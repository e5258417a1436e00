"""The rules by which workers are replaced and restarted. Pure: state and observation in, state and actions out.

No clock, no process, no signal, no log: see `processes` and `supervision`. `node/recycling.js` has the same rules; a
test compares them.
"""
