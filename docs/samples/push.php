<?php
// Push to every page that listens. Plain PHP, no extension needed.

$host = 'http://localhost:8081';
$apiKey = 'YOUR_API_KEY';
$apiSecret = 'YOUR_API_SECRET';
$identifier = 'chat';
$text = 'Hello from PHP';
$secret = 0; // 1: only for listeners with the right secureKey or token

$form = http_build_query([
    'identifier' => $identifier,
    'text' => $text,
    'secret' => $secret,
    'secure' => md5($apiKey . md5($apiSecret) . $identifier . $text),
], '', '&');

$answer = fopen("$host/$apiKey/push/$identifier", 'r', false, stream_context_create([
    'http' => [
        'method' => 'POST',
        'header' => 'Content-Type: application/x-www-form-urlencoded',
        'content' => $form,
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
