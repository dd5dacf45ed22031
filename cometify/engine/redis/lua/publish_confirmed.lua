-- Publish the pushes that enough replicas have: all unconfirmed pushes up to a position. Answers nothing.

publish_confirmed(tonumber(ARGV[1]))
