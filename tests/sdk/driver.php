<?php
// Call the PHP library as tests say: a line of JSON in, a line of JSON out. Arguments: the file, the URL, the options.

use Cometify\{Cometify, CometifyException, MaybePushed};

[, $file, $url, $options] = $argv;
require $file;
// A warning is a fault.
set_error_handler(function ($level, $message): never {
    throw new ErrorException($message);
});

function told(CometifyException $error): array
{
    $fields = ['code', 'detail', 'status', 'idempotencyKey', 'retryAfter'];
    $told = array_map(fn ($field) => $error->$field, array_combine($fields, $fields));
    return ['error' => $told + ['maybePushed' => $error instanceof MaybePushed, 'shown' => (string) $error]];
}

try {
    $cometify = Cometify::fromUrl($url ?: null, ...json_decode($options, true));
    echo json_encode(['made' => $cometify->server, 'key' => $cometify->apiKey, 'shown' => print_r($cometify, true)]), "\n";
} catch (CometifyException $error) {
    echo json_encode(told($error)), "\n";
    exit;
}
while (($line = fgets(STDIN)) !== false) {
    [$method, $arguments] = json_decode($line, true);
    try {
        $result = $method === 'signature' ? Cometify::signature(...$arguments) : $cometify->$method(...$arguments);
        $told = ['result' => $result instanceof Generator ? iterator_to_array($result) : $result];
    } catch (CometifyException $error) {
        $told = told($error);
    }
    echo json_encode($told, JSON_PRESERVE_ZERO_FRACTION | JSON_THROW_ON_ERROR), "\n";
}
