"""A fuzz campaign: hostile and odd inputs by the million against a running server, over real sockets.

`inputs` makes the n-th input of a seed, and each input is a conversation on a connection of its own. `requests`, `pushing`,
`listening` and `websockets` make its bytes, and `draw` has the random choices and the ways to break bytes. `player` is a
process that plays a share of the inputs and judges each conversation with `answers`. `target` runs the server. `campaign`
puts these together with a good client, and reads the log and the memory.
"""
