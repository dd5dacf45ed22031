<?php
// A token: the right to secret pushes for ten minutes. Plain PHP, no extension needed.

$apiSecret = 'YOUR_API_SECRET';
$claims = [
    'identifiers' => ['chat', 'metrics_*'], // a trailing * stands for a prefix
    'iat' => time(),
    'exp' => time() + 600,
    'sub' => 'user_7', // the visitor: you can disconnect this name later
];

function base64url($data)
{
    return rtrim(strtr(base64_encode($data), '+/', '-_'), '=');
}

$signed = base64url(json_encode(['alg' => 'HS256', 'typ' => 'JWT'])) . '.' . base64url(json_encode($claims));
echo $signed, '.', base64url(hash_hmac('sha256', $signed, $apiSecret, true)), "\n";
