<?php
// Receive webhooks. Plain PHP, no extension needed. Put it where the URL of your webhook leads.

$apiSecrets = ['YOUR_API_SECRET']; // both, while one is being replaced
$keptIn = __DIR__ . '/webhook-last-id'; // better: your database, together with what the events change

$body = file_get_contents('php://input');
$timestamp = $_SERVER['HTTP_COMETIFY_TIMESTAMP'] ?? '';
$signed = implode("\n", [
    'v2',
    $_SERVER['REQUEST_METHOD'],
    explode('?', $_SERVER['REQUEST_URI'])[0],
    $timestamp,
    $_SERVER['HTTP_COMETIFY_NONCE'] ?? '',
    $_SERVER['CONTENT_TYPE'] ?? '',
    $_SERVER['HTTP_IDEMPOTENCY_KEY'] ?? '',
    hash('sha256', $body),
]);
$genuine = false;
foreach ($apiSecrets as $apiSecret) {
    $expected = hash_hmac('sha256', $signed, $apiSecret);
    $genuine = hash_equals($expected, $_SERVER['HTTP_COMETIFY_SIGNATURE'] ?? '') || $genuine;
}
if (!$genuine || abs(time() - (int) $timestamp) > 300) {
    http_response_code(403);
    exit;
}

$kept = fopen($keptIn, 'c+');
flock($kept, LOCK_EX);
$lastId = (int) stream_get_contents($kept);
foreach (json_decode($body, true) as $event) {
    if ($event['id'] > $lastId) { // otherwise it has come before
        error_log(json_encode($event)); // your work
        $lastId = $event['id'];
    }
}
ftruncate($kept, 0);
rewind($kept);
fwrite($kept, (string) $lastId);
http_response_code(204);
