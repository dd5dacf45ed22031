<?php
// The rows that a page shows, and a position from which the page misses no change of them. PHP with PDO.

$host = 'http://localhost:8081';
$apiKey = 'YOUR_API_KEY';
$db = new PDO('sqlite:guestbook.db');

// First the position: a change that is not in the rows below is pushed after it.
$answer = @file_get_contents("$host/$apiKey/position", false, stream_context_create(['http' => ['timeout' => 2]]));
$position = $answer === false
    ? (int) (microtime(true) * 1e6) - 5_000_000 // no answer: the clock, less a margin for the difference of two clocks
    : json_decode($answer)->position;

// Then the rows. A deleted row is among them with its mark, so that the page ignores its older pushes.
$rows = $db->query('SELECT id, version, text, deleted FROM entries ORDER BY id')->fetchAll(PDO::FETCH_ASSOC);

header('Content-Type: application/json');
header('Cache-Control: no-store');
echo json_encode(['position' => $position, 'rows' => $rows]), "\n";
