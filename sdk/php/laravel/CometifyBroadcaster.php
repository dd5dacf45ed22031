<?php

declare(strict_types=1);

namespace Cometify\Laravel;

use Cometify\{Cometify, CometifyException};
use Illuminate\Broadcasting\BroadcastException;
use Illuminate\Broadcasting\Broadcasters\{Broadcaster, UsePusherChannelConventions};
use Symfony\Component\HttpKernel\Exception\AccessDeniedHttpException;

/**
 * Broadcast events of Laravel through Cometify, for pages with the Echo connector `cometify/echo`.
 *
 * A channel is an identifier of the same name. Pushes to private and presence channels are secret. The event is the event
 * of the push, with dots for backslashes, and its payload is the data. `toOthers()` leaves out the listener of the page.
 */
class CometifyBroadcaster extends Broadcaster
{
    use UsePusherChannelConventions;

    /** Pushes of a request. */
    private const BATCH = 100;
    private const NAME = '~^[A-Za-z][A-Za-z0-9_.-]{0,99}$~D';
    private const LISTENER = '~^[A-Za-z0-9_-]{8,64}$~D';

    /** @param int $tokenSeconds The life of a token. Echo asks for another one before it ends. */
    public function __construct(
        private readonly Cometify $cometify,
        private readonly int $tokenSeconds = 600,
    ) {
    }

    /**
     * Answer the request with which Echo asks for the right to a private or presence channel.
     *
     * @param \Illuminate\Http\Request $request
     * @return mixed
     */
    public function auth($request)
    {
        $name = $request->channel_name;
        // A token for `private-orders.*` would open all channels that begin so.
        if (!is_string($name) || !preg_match(self::NAME, $name) || !$this->isGuardedChannel($name)) {
            throw new AccessDeniedHttpException();
        }
        $channel = $this->normalizeChannelName($name);
        if (!$this->retrieveUser($request, $channel)) {
            throw new AccessDeniedHttpException();
        }
        return $this->verifyUserCanAccessChannel($request, $channel);
    }

    /**
     * @param \Illuminate\Http\Request $request
     * @param mixed $result
     * @return array{token: string}
     */
    public function validAuthenticationResponse($request, $result)
    {
        $name = $request->channel_name;
        $user = $this->retrieveUser($request, $this->normalizeChannelName($name));
        $id = method_exists($user, 'getAuthIdentifierForBroadcasting')
            ? $user->getAuthIdentifierForBroadcasting()
            : $user->getAuthIdentifier();
        return ['token' => $this->cometify->token([$name], $this->tokenSeconds, sub: (string) $id)];
    }

    /**
     * @param array $channels
     * @param string $event
     * @return void
     */
    public function broadcast(array $channels, $event, array $payload = [])
    {
        $except = $payload['socket'] ?? null;
        unset($payload['socket']);
        $push = [
            'content' => $payload === [] ? new \stdClass() : $payload,
            'event' => str_replace('\\', '.', $event),
            // The id of another driver's client names no listener here.
            'except' => is_string($except) && preg_match(self::LISTENER, $except) ? $except : null,
        ];
        $pushes = array_map(fn ($name) => $push + $this->addressed($name), $this->formatChannels($channels));
        try {
            foreach (array_chunk($pushes, self::BATCH) as $batch) {
                $this->cometify->batch($batch);
            }
        } catch (CometifyException $error) {
            throw new BroadcastException("Cometify error: {$error->getMessage()}", 0, $error);
        }
    }

    /** The client that the broadcaster pushes with. */
    public function cometify(): Cometify
    {
        return $this->cometify;
    }

    /** @return array{identifier: string, secret: bool} */
    private function addressed(string $name): array
    {
        if (str_starts_with($name, 'private-encrypted-')) {
            throw new BroadcastException("There are no encrypted channels: make $name a private channel.");
        }
        return ['identifier' => $name, 'secret' => $this->isGuardedChannel($name)];
    }
}
