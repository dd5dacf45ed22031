<?php

declare(strict_types=1);

namespace Cometify;

/**
 * Push to web pages through a Cometify server: `Cometify::fromUrl()->push('guestbook', 'Hello world!')`.
 *
 * One object keeps one connection. Every call ends within `timeout` seconds, with all its tries. A call that fails
 * throws `CometifyException`. Requests are signed with HMAC, so the API secret does not leave this process, unless
 * `bearer` is set.
 */
final class Cometify
{
    private const URL = '~^(https?)://([A-Za-z0-9_-]{1,64}):([^@/?#\[\]\s]+)@([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])'
        . '((?::[0-9]{1,5})?)((?:/[A-Za-z0-9._\~!$&\'()*+,;=:@%-]*)*)(?:\?bearer=([01]))?$~D';
    private const LOOPBACK = '~^(localhost|127(\.[0-9]{1,3}){3}|\[::1\])$~Di';
    private const NAME = '~^[A-Za-z][A-Za-z0-9_.-]{0,99}$~D';
    private const NAME_OR_PREFIX = '~^(([A-Za-z][A-Za-z0-9_.-]{0,99})?\*|[A-Za-z][A-Za-z0-9_.-]{0,99})$~D';
    private const SUBJECT = '~^[^\p{C}\p{Zl}\p{Zp}]{1,128}$~Du';
    private const HEADER = '~^[!-\~]([ -\~]*[!-\~])?$~D';
    private const JSON =
        JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRESERVE_ZERO_FRACTION | JSON_THROW_ON_ERROR;
    /** Entries of a page of a list. */
    private const PAGE = 1000;
    /** Statuses after which the request is sent again. After 429 it is too, if there is a Retry-After. */
    private const AGAIN = [500, 502, 503, 504];
    /** Codes with which nothing was pushed, although their status is one of these. */
    private const UNPUSHED = ['overloaded', 'draining'];
    private const UNSENT = [CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT];
    private const UNTRUSTED = [CURLE_SSL_PEER_CERTIFICATE, CURLE_SSL_CACERT_BADFILE];
    /** Seconds before the second try, and the longest pause before a later one. Each is about twice the one before. */
    private const FIRST_PAUSE = 0.05;
    private const LONGEST_PAUSE = 1.0;
    /** Seconds below which no further try is made. */
    private const SHORTEST_TRY = 0.1;
    /** Seconds of a call at most, 24 days. INF would become a timeout of 0. */
    private const LONGEST_CALL = 2147483.0;

    private ?\CurlHandle $connection = null;
    /** The process that made the connection. A forked process makes its own. */
    private int $process = 0;
    /**
     * Connections that this process got from its parent when it was forked. They stay open until the process ends,
     * because curl reads from a socket before it closes it: that could be an answer to the parent.
     *
     * @var list<\CurlHandle>
     */
    private static array $inherited = [];

    private function __construct(
        public readonly string $apiKey,
        #[\SensitiveParameter]
        private readonly string $apiSecret,
        public readonly string $server,
        private readonly float $timeout,
        private readonly bool $bearer,
    ) {
    }

    /**
     * @param string|null $url `https://KEY:SECRET@push.example.org`. By default the environment variable COMETIFY_URL.
     * @param float $timeout Seconds for a call with all its tries.
     * @param bool $bearer Send the API secret itself instead of signatures. `?bearer=1` behind the URL does the same.
     */
    public static function fromUrl(
        #[\SensitiveParameter]
        ?string $url = null,
        float $timeout = 2.0,
        bool $bearer = false,
    ): self {
        $url ??= $_ENV['COMETIFY_URL'] ?? $_SERVER['COMETIFY_URL'] ?? getenv('COMETIFY_URL');
        self::check(
            preg_match(self::URL, (string) $url, $part) === 1,
            'invalid_url',
            'The URL (COMETIFY_URL) must be https://KEY:SECRET@push.example.org. '
            . 'In the secret, percent-encode @ / ? # [ ] % and spaces.',
        );
        [, $scheme, $key, $secret, $host, $port, $prefix] = $part;
        [$secret, $server] = [rawurldecode($secret), "$scheme://$host$port" . rtrim($prefix, '/')];
        $bearer = isset($part[7]) ? $part[7] === '1' : $bearer;
        self::check(
            !$bearer || $scheme === 'https' || preg_match(self::LOOPBACK, $host),
            'invalid_url',
            "The API secret itself is not sent to $server, because others can read it on the way. "
            . 'Use https, or leave bearer out: then requests are signed.',
        );
        self::check(
            !$bearer || preg_match(self::HEADER, $secret),
            'invalid_url',
            'This API secret cannot stand in a header, because it has characters that are not printable ASCII. '
            . 'Leave bearer out: then requests are signed.',
        );
        self::check($timeout > 0, 'invalid_parameter', 'timeout must be a number of seconds above 0.');
        return new self($key, $secret, $server, min($timeout, self::LONGEST_CALL), $bearer);
    }

    /**
     * Push to one identifier.
     *
     * @param mixed $content A string is the text of the push. Any other value is its data, which is sent as JSON.
     * @param bool $secret True: only for listeners with a valid secureKey or token.
     * @param int|string|null $pushId Your own number for it, from 0 to 2^63 - 1.
     * @param string|null $event The name of what happened.
     * @param string|null $except The id of the listener that caused it, which does not get it.
     * @param string|null $idempotencyKey Calls with the same key push once. By default each call makes a new one.
     * @param mixed $data Instead of `content`, for a JSON value that is a string or null.
     */
    public function push(
        string $identifier,
        #[\SensitiveParameter]
        mixed $content = Absent::Value,
        bool $secret = false,
        int|string|null $pushId = null,
        ?string $event = null,
        ?string $except = null,
        ?string $idempotencyKey = null,
        #[\SensitiveParameter]
        mixed $data = Absent::Value,
    ): Pushed {
        $push = self::draft($identifier, $content, $secret, $pushId, $event, $except, $data);
        $path = '/push/' . self::encoded($identifier);
        unset($push['identifier']);
        return Pushed::read($this->ask('position', 'POST', $path, $push, $idempotencyKey ?? self::random()));
    }

    /**
     * Push up to 100 in one request. All are checked before one is pushed.
     *
     * @param array<array<string, mixed>> $pushes The arguments of `push` by their names: `['identifier' => 'chat', …]`.
     * @return list<Pushed> In the same order.
     */
    public function batch(#[\SensitiveParameter] array $pushes, ?string $idempotencyKey = null): array
    {
        $drafts = [];
        foreach (array_values($pushes) as $index => $push) {
            try {
                $drafts[] = self::draft(...$push);
            } catch (CometifyException $error) {
                throw new CometifyException($error->code, 'Push ' . ($index + 1) . " of the batch: $error->detail");
            } catch (\Error $error) {
                $why = str_replace(self::class . '::draft()', 'push()', $error->getMessage());
                throw new CometifyException('invalid_parameter', 'Push ' . ($index + 1) . " of the batch: $why.");
            }
        }
        $answers = $this->ask(count($drafts), 'POST', '/push', $drafts, $idempotencyKey ?? self::random());
        return array_map(Pushed::read(...), $answers);
    }

    /** The newest position now. Ask for it before you read the database, and let the page listen from there. */
    public function position(): int
    {
        return $this->ask('position', 'GET', '/position')['position'];
    }

    /**
     * Make a token. It gives a page the right to the secret pushes of these identifiers, for so many seconds.
     *
     * @param string|list<string> $identifiers A trailing * stands for a prefix. A string can have several, with commas.
     * @param string|null $sub The visitor to whom you give it, for `disconnect`.
     */
    public function token(string|array $identifiers, int $seconds, ?string $sub = null): string
    {
        $isSubject = $sub === null || preg_match(self::SUBJECT, $sub);
        self::check($isSubject, 'invalid_parameter', 'sub must be a string of 1 to 128 printable characters.');
        $rights = ['identifiers' => self::names($identifiers, self::NAME_OR_PREFIX)];
        return $this->jwt($seconds, $rights + ($sub === null ? [] : ['sub' => $sub]));
    }

    /**
     * Make a token for a person who may see the usage and the identifiers of the account, at /account of the server. It
     * gives no right to listen or to push.
     */
    public function accountToken(int $seconds): string
    {
        return $this->jwt($seconds, ['scope' => 'account', 'api_key' => $this->apiKey]);
    }

    /** @param array<string, mixed> $rights The claims besides the times. */
    private function jwt(int $seconds, array $rights): string
    {
        self::check($seconds >= 1, 'invalid_parameter', 'seconds must be 1 or more.');
        $now = time();
        $claims = ['iat' => $now, 'exp' => $now + $seconds] + $rights;
        $signed = self::base64url('{"alg":"HS256","typ":"JWT"}') . '.' . self::base64url(self::json($claims));
        return $signed . '.' . self::base64url(hash_hmac('sha256', $signed, $this->apiSecret, true));
    }

    /** @param string|list<string> $identifiers The key is for exactly this list: these names, in this order and spelling. */
    public function secureKey(string|array $identifiers): string
    {
        return md5($this->apiKey . $this->apiSecret . md5(implode(',', self::names($identifiers, self::NAME))));
    }

    /** End the connections of a visitor (the `sub` of tokens), or of a listener id. Returns how many ended. */
    public function disconnect(?string $subject = null, ?string $listener = null): int
    {
        self::check(
            ($subject === null) !== ($listener === null),
            'invalid_parameter',
            'Give subject or listener, and not both.',
        );
        $whom = $subject === null ? ['listener' => $listener] : ['subject' => $subject];
        return $this->ask('disconnected', 'POST', '/disconnect', $whom)['disconnected'];
    }

    /**
     * The identifiers that are listened to or have pushes kept, in the order of their names. The list is asked for page
     * by page.
     *
     * @return \Generator<int, array<string, mixed>>
     */
    public function identifiers(string $prefix = ''): \Generator
    {
        $given = ['limit' => self::PAGE, 'prefix' => $prefix === '' ? null : $prefix];
        do {
            $page = $this->ask('identifiers', 'GET', '/identifiers?' . self::query($given));
            foreach ($page['identifiers'] as $identifier) {
                yield $identifier;
            }
            $given['after'] = $page['next'];
        } while ($page['next'] !== null);
    }

    /** @return array<string, mixed> The listeners of one identifier, and what is kept of it. */
    public function identifier(string $identifier): array
    {
        return $this->ask('identifier', 'GET', '/identifiers/' . self::encoded($identifier));
    }

    /**
     * The pushes that are kept of an identifier, the oldest first, secret ones too: those after a position, or of the last
     * ten minutes. A page has up to 1,000.
     *
     * @param int|null $after A position: the `next` of the page before, or one that you know.
     * @return array{pushes: list<array<string, mixed>>, gap: bool, next: int|null}
     */
    public function pushes(string $identifier, ?int $after = null): array
    {
        $query = self::query(['limit' => self::PAGE, 'after' => $after]);
        return $this->ask('pushes', 'GET', '/identifiers/' . self::encoded($identifier) . "/pushes?$query");
    }

    /**
     * The usage of the account in this hour, and on each of the last 31 days: pushes, deliveries, listeners, refusals.
     *
     * @return array{listeners: int, hour: array<string, mixed>, days: list<array<string, mixed>>} Today is the first day.
     */
    public function usage(): array
    {
        return $this->ask('days', 'GET', '/usage');
    }

    /**
     * The events of a webhook's request, if the server has signed it within five minutes.
     *
     * Drop each event whose `id` is not above the last one that you have handled.
     *
     * @param string $path Of the request. A query behind it is ignored.
     * @param array<string, string> $headers Of the request, by their names: `getallheaders()`.
     * @param string $body Its bytes, as they came: `file_get_contents('php://input')`.
     * @param ?string $otherSecret Accepted too, while the API secret is being replaced.
     * @return list<array<string, mixed>>
     * @throws CometifyException not_authorized, or invalid_parameter if `$otherSecret` is empty.
     */
    public function verifyWebhook(
        string $path,
        array $headers,
        string $body,
        #[\SensitiveParameter]
        ?string $otherSecret = null,
    ): array {
        // Everybody can sign with an empty secret.
        self::check($otherSecret !== '', 'invalid_parameter', 'otherSecret must not be empty: give null if there is no '
            . 'other secret.');
        // Some frameworks give a list of values for each name.
        $given = array_change_key_case(array_filter(
            array_map(static fn (mixed $value): mixed => is_array($value) ? reset($value) : $value, $headers),
            is_string(...),
        ));
        $timestamp = $given['cometify-timestamp'] ?? '';
        $isGenuine = false;
        foreach ([$this->apiSecret, $otherSecret ?? $this->apiSecret] as $apiSecret) {
            $expected = self::signature(
                $apiSecret,
                'POST',
                explode('?', $path)[0],
                $timestamp,
                $given['cometify-nonce'] ?? '',
                $given['content-type'] ?? '',
                $given['idempotency-key'] ?? '',
                $body,
            );
            $isGenuine = hash_equals($expected, $given['cometify-signature'] ?? '') || $isGenuine;
        }
        self::check($isGenuine, 'not_authorized', 'The signature does not match: answer 403. If it comes from your '
            . 'server, compare the API secret, and give the path and the bytes of the body as they came.');
        $isNew = abs(time() - (int) $timestamp) <= 300;
        self::check($isNew, 'not_authorized', 'The request is too old or too new: answer 403, and compare the clocks.');
        $events = json_decode($body, true);
        $areEvents = str_starts_with(ltrim($body), '[') && is_array($events)
            && array_filter($events, is_array(...)) === $events;
        self::check($areEvents, 'not_authorized', 'The body is signed and is no list of events: answer 403, and give the '
            . 'path of the webhook alone.');
        return $events;
    }

    /** The signature v2 of a request. `contentType`, `idempotencyKey`: as sent, empty if they are not sent. */
    public static function signature(
        #[\SensitiveParameter]
        string $apiSecret,
        string $method,
        string $path,
        string $timestamp,
        string $nonce,
        string $contentType,
        string $idempotencyKey,
        #[\SensitiveParameter]
        string $body,
    ): string {
        $hash = hash('sha256', $body);
        $signed = "v2\n$method\n$path\n$timestamp\n$nonce\n$contentType\n$idempotencyKey\n$hash";
        return hash_hmac('sha256', $signed, $apiSecret);
    }

    /** @return array<string, string> The fields that a dump of this object shows. None is secret. */
    public function __debugInfo(): array
    {
        return ['apiKey' => $this->apiKey, 'server' => $this->server];
    }

    public function __serialize(): array
    {
        throw new \LogicException('A Cometify object has the API secret. Make it where you need it: do not serialize it.');
    }

    /**
     * Carry out a call, with several tries if the first one fails. All tries have one Idempotency-Key.
     *
     * @param string|int $field A field that the answer must have, or the number of answers in it.
     */
    private function ask(
        string|int $field,
        string $method,
        string $path,
        #[\SensitiveParameter]
        ?array $value = null,
        ?string $key = null,
    ): array {
        self::check(
            $key === null || (strlen($key) <= 128 && preg_match(self::HEADER, $key)),
            'invalid_parameter',
            'idempotencyKey must have 1 to 128 printable ASCII characters, and no space at its ends.',
        );
        $body = $value === null ? '' : self::json($value);
        $end = self::now() + $this->timeout;
        $pause = self::FIRST_PAUSE;
        for ($inDoubt = false;;) {
            // A try may use half of the time that is left. So if a connection hangs, there is time for another one.
            $left = $end - self::now();
            $answer = $this->send($field, $method, $path, $body, $key, max($left / 2, min($left, self::SHORTEST_TRY)));
            if (!$answer instanceof Failure) {
                return $answer;
            }
            $inDoubt = $answer->isLost || ($inDoubt && $answer->isAway);
            $wait = $answer->retryAfter ?? $pause * random_int(50, 100) / 100;
            if (!$answer->canRetry || self::now() + $wait + self::SHORTEST_TRY > $end) {
                $class = $inDoubt && $key !== null ? MaybePushed::class : CometifyException::class;
                throw new $class($answer->code, $answer->detail, $answer->status, $answer->retryAfter, $key);
            }
            usleep((int) ($wait * 1e6));
            $pause = min(2 * $pause, self::LONGEST_PAUSE);
        }
    }

    /** One try. Returns the answer, or the reason why there is none. */
    private function send(
        string|int $field,
        string $method,
        string $path,
        #[\SensitiveParameter]
        string $body,
        ?string $key,
        float $seconds,
    ): array|Failure {
        $retryAfter = null;
        $curl = $this->connection();
        if (defined('CURLOPT_QUICK_EXIT')) {
            // Without it curl waits for a name server that hangs, beyond the timeout. PHP has it from 8.3 on.
            curl_setopt($curl, CURLOPT_QUICK_EXIT, true);
        }
        curl_setopt_array($curl, ($method === 'POST' ? [CURLOPT_POSTFIELDS => $body] : []) + [
            CURLOPT_URL => "$this->server/$this->apiKey$path",
            CURLOPT_PATH_AS_IS => true,
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_USERAGENT => 'cometify-php',
            CURLOPT_NOSIGNAL => true,
            // A proxy would bring the secret of a request to this machine into the network.
            CURLOPT_NOPROXY => $this->bearer && str_starts_with($this->server, 'http:') ? '*' : null,
            CURLOPT_HTTPHEADER => $this->headers($method, $path, $body, $key),
            CURLOPT_TIMEOUT_MS => max(1, (int) ($seconds * 1000)),
            CURLOPT_HEADERFUNCTION => function ($curl, string $line) use (&$retryAfter): int {
                if (preg_match('/^retry-after:\s*([0-9]{1,8})\s*$/i', $line, $found)) {
                    $retryAfter = (int) $found[1];
                }
                return strlen($line);
            },
        ]);
        $text = curl_exec($curl);
        if (!is_string($text)) {
            return $this->noAnswer($curl);
        }
        $answer = json_decode($text, true);
        $status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
        if (!is_array($answer)) {
            return $this->refusal($status, [], $retryAfter);
        }
        $isRight = is_int($field) ? array_is_list($answer) && count($answer) === $field : isset($answer[$field]);
        return $status === 200 && $isRight ? $answer : $this->refusal($status, $answer, $retryAfter);
    }

    private function noAnswer(\CurlHandle $curl): Failure
    {
        $number = curl_errno($curl);
        $why = curl_error($curl) ?: curl_strerror($number);
        if (in_array($number, self::UNTRUSTED, true)) {
            return new Failure('unreachable', "$this->server is not trusted: $why.");
        }
        if (in_array($number, self::UNSENT, true) || curl_getinfo($curl, CURLINFO_PRETRANSFER_TIME) <= 0) {
            return new Failure('unreachable', "$this->server cannot be reached: $why.", canRetry: true);
        }
        return new Failure('no_answer', "$this->server gave no whole answer: $why.", canRetry: true, isLost: true);
    }

    private function refusal(int $status, array $problem, ?int $retryAfter): Failure
    {
        $isAway = $status === 200 || in_array($status, self::AGAIN, true);
        $canRetry = $isAway || ($status === 429 && $retryAfter !== null);
        $code = $problem['code'] ?? null;
        if (!is_string($code)) {
            $detail = "$this->server answered with status $status and not as Cometify does: "
                . 'the URL must lead to a Cometify server, and a proxy before it must pass its answers on.';
            return new Failure('unreadable_answer', $detail, $status, $retryAfter, $canRetry, isLost: $isAway);
        }
        $isLost = $isAway && !in_array($code, self::UNPUSHED, true);
        return new Failure($code, (string) ($problem['detail'] ?? ''), $status, $retryAfter, $canRetry, $isLost, $isAway);
    }

    /** @return list<string> */
    private function headers(string $method, string $path, string $body, ?string $key): array
    {
        $type = $method === 'POST' ? 'application/json' : '';
        if ($this->bearer) {
            $headers = ["Authorization: Bearer $this->apiSecret"];
        } else {
            // A proxy takes the path of the URL away, so it is not signed.
            $path = "/$this->apiKey" . explode('?', $path)[0];
            [$time, $nonce] = [(string) time(), self::random()];
            $signature = self::signature($this->apiSecret, $method, $path, $time, $nonce, $type, $key ?? '', $body);
            $headers = ["Cometify-Timestamp: $time", "Cometify-Nonce: $nonce", "Cometify-Signature: $signature"];
        }
        // Without `Expect:` curl would wait for a 100 before it sends a long body.
        return [...$headers, 'Expect:', "Content-Type: $type", ...($key === null ? [] : ["Idempotency-Key: $key"])];
    }

    private function connection(): \CurlHandle
    {
        if ($this->connection !== null && $this->process !== getmypid()) {
            self::$inherited[] = $this->connection;
            $this->connection = null;
        }
        if ($this->connection === null) {
            [$this->connection, $this->process] = [curl_init(), getmypid()];
        }
        curl_reset($this->connection);
        return $this->connection;
    }

    /** A push as the server reads it. */
    private static function draft(
        string $identifier,
        mixed $content = Absent::Value,
        bool $secret = false,
        int|string|null $pushId = null,
        ?string $event = null,
        ?string $except = null,
        mixed $data = Absent::Value,
    ): array {
        self::encoded($identifier);
        self::check(
            ($content === Absent::Value) !== ($data === Absent::Value) && $content !== null,
            'missing_parameter',
            "A push has a text or data: give one of them. JSON's null is data: null.",
        );
        $value = is_string($content) ? ['text' => $content] : ['data' => $data === Absent::Value ? $content : $data];
        $more = ['push_id' => $pushId === null ? null : (string) $pushId, 'event' => $event, 'except' => $except];
        $known = array_filter($more, fn ($given) => $given !== null);
        return ['identifier' => $identifier, 'secret' => (int) $secret] + $value + $known;
    }

    /** @return list<string> */
    private static function names(string|array $identifiers, string $pattern): array
    {
        $names = is_array($identifiers) ? array_values($identifiers) : explode(',', $identifiers);
        self::check($names !== [], 'invalid_parameter', 'identifiers: give at least one name.');
        foreach ($names as $name) {
            $isName = is_string($name) && preg_match($pattern, $name);
            $shown = var_export($name, true);
            self::check($isName, 'invalid_parameter', "identifiers: $shown is not a name such as guestbook.");
        }
        return $names;
    }

    /** An identifier as a part of a path. A name of dots would be lost there. */
    private static function encoded(string $identifier): string
    {
        $isName = trim($identifier, '.') !== '';
        self::check($isName, 'invalid_identifier', 'The identifier must be a name such as guestbook.');
        return rawurlencode($identifier);
    }

    /** @param array<string, string|int|null> $parameters Those that are null are left out. */
    private static function query(array $parameters): string
    {
        return http_build_query($parameters, '', '&', PHP_QUERY_RFC3986);
    }

    private static function json(array $value): string
    {
        try {
            return json_encode($value, self::JSON);
        } catch (\JsonException $error) {
            throw new CometifyException('invalid_parameter', "This cannot be written as JSON: {$error->getMessage()}.");
        }
    }

    private static function check(bool|int $isRight, string $code, string $detail): void
    {
        if (!$isRight) {
            throw new CometifyException($code, $detail);
        }
    }

    private static function base64url(string $data): string
    {
        return rtrim(strtr(base64_encode($data), '+/', '-_'), '=');
    }

    private static function random(): string
    {
        return bin2hex(random_bytes(16));
    }

    private static function now(): float
    {
        return hrtime(true) / 1e9;
    }
}

/** The server has a push. */
final class Pushed
{
    /**
     * @param string $identifier In lower case.
     * @param int|null $pushId Your own number.
     * @param int $position The server's number of the push, a time in microseconds.
     * @param int $listeners Listeners on the server that answered which may get the push.
     * @param bool $duplicate The server knew the push already by its Idempotency-Key.
     */
    private function __construct(
        public readonly string $identifier,
        public readonly ?int $pushId,
        public readonly int $position,
        public readonly int $listeners,
        public readonly bool $duplicate,
    ) {
    }

    /** @internal */
    public static function read(array $answer): self
    {
        $pushId = isset($answer['push_id']) ? (int) $answer['push_id'] : null;
        $duplicate = $answer['duplicate'] ?? false;
        return new self($answer['identifier'], $pushId, $answer['position'], $answer['listeners'], $duplicate);
    }
}

/** A call has failed. Its message says what to do, and holds no secret. */
class CometifyException extends \RuntimeException
{
    /** @var string The server's code, or `invalid_url`, `unreachable`, `no_answer` or `unreadable_answer`. */
    public $code = '';

    /**
     * @param int|null $status The HTTP status of the answer. Null: there was no answer.
     * @param int|null $retryAfter The seconds after which the server wants the request again.
     * @param string|null $idempotencyKey The key of the push. Give it again to send the same push again.
     */
    final public function __construct(
        string $code,
        public readonly string $detail,
        public readonly ?int $status = null,
        public readonly ?int $retryAfter = null,
        public readonly ?string $idempotencyKey = null,
    ) {
        parent::__construct("$code: $detail");
        $this->code = $code;
    }
}

/** The push may have been made. It is safe to send it again with the same `idempotencyKey`. */
final class MaybePushed extends CometifyException
{
}

/**
 * The reason why a try has failed.
 *
 * - `isLost`: the request may have been carried out.
 * - `isAway`: the server has not looked at it, or another answered, such as a proxy. So the tries before it stay in doubt. A
 *   refusal of the server ends all doubt, because it would have answered with the result of such a try.
 *
 * @internal
 */
final class Failure
{
    public function __construct(
        public readonly string $code,
        public readonly string $detail,
        public readonly ?int $status = null,
        public readonly ?int $retryAfter = null,
        public readonly bool $canRetry = false,
        public readonly bool $isLost = false,
        public readonly bool $isAway = true,
    ) {
    }
}

/** @internal Stands for a value that is not given, because null is a JSON value. */
enum Absent
{
    case Value;
}
