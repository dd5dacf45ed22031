<?php

declare(strict_types=1);

namespace Cometify\Laravel;

use Cometify\Cometify;
use Illuminate\Broadcasting\BroadcastManager;
use Illuminate\Support\ServiceProvider;

/** Adds the broadcasting driver `cometify`, and gives `Cometify\Cometify` to whoever asks the container for it. */
class CometifyServiceProvider extends ServiceProvider
{
    /** @return void */
    public function register()
    {
        $this->app->singleton(Cometify::class, function ($app) {
            return CometifyServiceProvider::connect($app['config']['broadcasting.connections.cometify'] ?? []);
        });
    }

    /** @return void */
    public function boot()
    {
        $this->callAfterResolving(BroadcastManager::class, function (BroadcastManager $manager) {
            $manager->extend('cometify', function ($app, array $config) {
                $client = CometifyServiceProvider::connect($config);
                return new CometifyBroadcaster($client, (int) ($config['token_seconds'] ?? 600));
            });
        });
    }

    /** @param array<string, mixed> $config A connection of config/broadcasting.php. */
    public static function connect(#[\SensitiveParameter] array $config): Cometify
    {
        return Cometify::fromUrl(
            $config['url'] ?? null,
            timeout: (float) ($config['timeout'] ?? 2.0),
            bearer: (bool) ($config['bearer'] ?? false),
        );
    }
}
