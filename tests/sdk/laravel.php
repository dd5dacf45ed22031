<?php
// A small app of Laravel's own components: container, configuration, router and broadcasting. Each line of its input is
// something to do: [what, arguments]. Each line of its output is the result, or the name of what was thrown.

use Cometify\Cometify;
use Cometify\Laravel\CometifyServiceProvider;
use Illuminate\Broadcasting\{BroadcastEvent, BroadcastServiceProvider};
use Illuminate\Broadcasting\{Channel, EncryptedPrivateChannel, InteractsWithSockets, PresenceChannel, PrivateChannel};
use Illuminate\Config\Repository;
use Illuminate\Container\Container;
use Illuminate\Contracts\Broadcasting\{Factory, ShouldBroadcast};
use Illuminate\Events\Dispatcher;
use Illuminate\Http\Request;
use Illuminate\Routing\Router;
use Illuminate\Support\Facades\Facade;

[, $sdk, $url] = $argv;
foreach (['Broadcasting', 'Routing', 'Http', 'Config', 'Events'] as $part) {
    require_once "Illuminate/$part/autoload.php";
}
foreach (['Cometify.php', 'laravel/CometifyBroadcaster.php', 'laravel/CometifyServiceProvider.php'] as $file) {
    require "$sdk/$file";
}

class User
{
    public function __construct(private int $id)
    {
    }

    public function getAuthIdentifier(): int
    {
        return $this->id;
    }
}

class OrderShipped implements ShouldBroadcast
{
    use InteractsWithSockets;

    public function __construct(public array $order, private array $channels)
    {
    }

    public function broadcastOn(): array
    {
        $kinds = [
            'public' => Channel::class,
            'private' => PrivateChannel::class,
            'presence' => PresenceChannel::class,
            'encrypted' => EncryptedPrivateChannel::class,
        ];
        return array_map(fn ($channel) => new $kinds[$channel[0]]($channel[1]), $this->channels);
    }
}

class OrderPaid extends OrderShipped
{
    public function broadcastAs(): string
    {
        return 'order.paid';
    }

    public function broadcastWith(): array
    {
        return [];
    }
}

$app = new Container();
Container::setInstance($app);
Facade::setFacadeApplication($app);
$app->instance('config', new Repository(['broadcasting' => [
    'default' => 'cometify',
    'connections' => ['cometify' => ['driver' => 'cometify', 'url' => $url, 'timeout' => 10, 'token_seconds' => 120]],
]]));
$app->alias('request', Request::class);
$app->instance('events', $events = new Dispatcher($app));
$app->instance('router', $router = new Router($events, $app));
$providers = [new BroadcastServiceProvider($app), new CometifyServiceProvider($app)];
array_map(fn ($provider) => $provider->register(), $providers);
$providers[1]->boot();

$manager = $app->make(Factory::class);
$manager->channel('orders.{id}', fn ($user, $id) => $user->getAuthIdentifier() === (int) $id);
$manager->channel('open.{name}', fn ($user, $name) => true);
$manager->channel('room.{id}', fn ($user, $id) => ['name' => 'Ann']);
$manager->routes(['middleware' => []]);

function authorize(array $given): array
{
    global $app, $router;
    $request = Request::create('/broadcasting/auth', 'POST', $given['form']);
    $request->setUserResolver(fn () => isset($given['user']) ? new User($given['user']) : null);
    $app->instance('request', $request);
    $response = $router->dispatch($request);
    return [$response->getStatusCode(), json_decode($response->getContent(), true)];
}

function broadcast_event(array $given): array
{
    global $app, $manager;
    $app->instance('request', Request::create('/', 'POST', server: ['HTTP_X_SOCKET_ID' => $given['socket'] ?? null]));
    $event = new $given['class'](['id' => 7], $given['channels']);
    if (isset($given['socket'])) {
        $event->socket = $manager->socket();
    }
    (new BroadcastEvent($event))->handle($manager);
    return [];
}

while (($line = fgets(STDIN)) !== false) {
    [$do, $given] = json_decode($line, true);
    try {
        $told = match ($do) {
            'auth' => authorize($given),
            'broadcast' => broadcast_event($given),
            'container' => [$app->make(Cometify::class) === $app->make(Cometify::class), $app->make(Cometify::class)->server],
        };
    } catch (Throwable $error) {
        $told = ['thrown' => $error::class, 'message' => $error->getMessage()];
    }
    echo json_encode($told), "\n";
}
