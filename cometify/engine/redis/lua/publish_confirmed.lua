-- Publish what replicas have by now: everything up to a position.

say(tonumber(ARGV[1]))
