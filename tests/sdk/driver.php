<?php
// Call the PHP library as tests say: a line of JSON in, a line of JSON out. Argument: the file.
// ["new", url, options] makes an object and tells its number, [number, method, arguments] calls it, ["forget"] drops all of them.

use Cometify\{Cometify, CometifyException, MaybePushed};

require $argv[1];
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

$made = [];
while (($line = fgets(STDIN)) !== false) {
    [$whom, $method, $arguments] = json_decode($line, true) + [null, null, null];
    try {
        if ($whom === 'forget') {
            $made = [];
            $told = ['result' => null];
        } elseif ($whom === 'new') {
            $cometify = Cometify::fromUrl($method ?: null, ...$arguments);
            $shown = print_r($cometify, true);
            $told = ['number' => count($made), 'made' => $cometify->server, 'key' => $cometify->apiKey, 'shown' => $shown];
            $made[] = $cometify;
        } else {
            $result = $method === 'signature' ? Cometify::signature(...$arguments) : $made[$whom]->$method(...$arguments);
            $told = ['result' => $result instanceof Generator ? iterator_to_array($result) : $result];
        }
    } catch (CometifyException $error) {
        $told = told($error);
    }
    echo json_encode($told, JSON_PRESERVE_ZERO_FRACTION | JSON_THROW_ON_ERROR), "\n";
}
