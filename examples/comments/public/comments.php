<?php
/** The comments as JSON. A POST adds one, and pushes it to all open pages. */

declare(strict_types=1);

use Cometify\{Cometify, CometifyException};

require __DIR__ . '/../../../sdk/php/Cometify.php';

$cometify = Cometify::fromUrl();
$db = new PDO('sqlite:' . __DIR__ . '/../comments.db');
$db->exec('CREATE TABLE IF NOT EXISTS comments (id integer PRIMARY KEY AUTOINCREMENT, text text NOT NULL)');

if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $text = trim($_POST['text'] ?? '');
    if ($text === '' || strlen($text) > 4000 || !preg_match('//u', $text)) {
        http_response_code(400);
        exit;
    }
    $db->prepare('INSERT INTO comments (text) VALUES (?)')->execute([$text]);
    try {
        $cometify->push('comments', ['id' => (int) $db->lastInsertId(), 'text' => $text]);
    } catch (CometifyException $error) {
        error_log($error->getMessage()); // the comment is kept, and pages show it when they are loaded again
    }
    http_response_code(204);
    exit;
}

// The position is taken before the comments are read, so that the page misses none.
try {
    $since = $cometify->position();
} catch (CometifyException) {
    $since = (int) (microtime(true) * 1_000_000) - 5_000_000; // Cometify is away: the clock, less a margin
}
$comments = $db->query('SELECT id, text FROM comments ORDER BY id')->fetchAll(PDO::FETCH_ASSOC);
header('Content-Type: application/json');
echo json_encode(['apiKey' => $cometify->apiKey, 'since' => $since, 'comments' => $comments]);
