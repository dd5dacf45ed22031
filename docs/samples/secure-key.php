<?php
// The secureKey for one list of identifiers, in exactly this order.

$apiKey = 'YOUR_API_KEY';
$apiSecret = 'YOUR_API_SECRET';
$identifiers = ['metrics', 'tweets'];

echo md5($apiKey . $apiSecret . md5(implode(',', $identifiers))), "\n";
