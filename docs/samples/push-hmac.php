<?php
// Push to every page that listens, signed with HMAC. Plain PHP, no extension needed.

$host = 'http://localhost:8081';
$apiKey = 'YOUR_API_KEY';
$apiSecret = 'YOUR_API_SECRET';
$identifier = 'chat';
$text = 'Signed in PHP';
$secret = 0; // 1: only for listeners with the right secureKey or token

$path = "/$apiKey/push/$identifier";
$body = json_encode(['text' => $text, 'secret' => $secret]);
$contentType = 'application/json';
$idempotencyKey = bin2hex(random_bytes(16)); // keep it to send the same push again
$timestamp = (string) time();
$nonce = bin2hex(random_bytes(16));
$sha256hex = hash('sha256', $body);
$signed = implode("\n", ['v2', 'POST', $path, $timestamp, $nonce, $contentType, $idempotencyKey, $sha256hex]);

$answer = fopen($host . $path, 'r', false, stream_context_create([
    'http' => [
        'method' => 'POST',
        'header' => [
            "Content-Type: $contentType",
            "Idempotency-Key: $idempotencyKey",
            "Cometify-Timestamp: $timestamp",
            "Cometify-Nonce: $nonce",
            'Cometify-Signature: ' . hash_hmac('sha256', $signed, $apiSecret),
        ],
        'content' => $body,
        'timeout' => 10,
        'ignore_errors' => true, // the body of a refusal says what to do
    ],
]));
if ($answer === false) {
    exit(1); // PHP has printed the reason
}
$status = (int) explode(' ', stream_get_meta_data($answer)['wrapper_data'][0])[1];
$body = stream_get_contents($answer);

if ($status !== 200) {
    error_log("Refused ($status): " . (json_decode($body)->detail ?? $body));
    exit(1);
}
echo $body, "\n";
