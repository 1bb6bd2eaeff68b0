<?php
// A user of php-stomp, in the hands of a test: a line of JSON says what to do, a line of JSON says
// what came of it.

// For every wait, as it would wait two seconds; the test waits no longer than this either.
ini_set('stomp.default_read_timeout_sec', '15');

$stomp = null;
$messages = [];

function shown(string $command, array $headers = [], ?string $body = ''): array
{
    return ['command' => $command, 'headers' => (object) $headers, 'hex' => bin2hex($body ?? '')];
}

function connect(array $order): array
{
    global $stomp;
    $headers = [];
    if ($order['version'] !== '1.0') {
        $headers = ['accept-version' => $order['version'], 'host' => 'localhost'];
    }
    $broker = "tcp://{$order['host']}:{$order['port']}";
    $stomp = new Stomp($broker, $order['login'], $order['passcode'] ?? '', $headers);
    // All that it lets anybody see of CONNECTED.
    return shown('CONNECTED', ['session' => $stomp->getSessionId()]);
}

function receive(): array
{
    global $stomp, $messages;
    if ($stomp === null) {
        return ['command' => null]; // it hangs up by itself when it is refused
    }
    $frame = $stomp->readFrame();
    if ($frame === false) {
        return ['command' => null, 'error' => $stomp->error()];
    }
    $messages[$frame->headers['message-id'] ?? ''] = $frame;
    return shown($frame->command, $frame->headers, $frame->body);
}

// Where a receipt was asked for, it has waited for it before it returned.
function confirmation(bool $success, array $headers): array
{
    global $stomp;
    if (!$success) {
        $error = $stomp->error();
        if ($error === false) {
            return ['command' => null, 'error' => 'no receipt'];
        }
        [$message, $body] = explode("\n\n", $error, 2) + [1 => ''];
        return shown('ERROR', ['message' => $message], $body);
    }
    return isset($headers['receipt']) ? shown('RECEIPT', ['receipt-id' => $headers['receipt']]) : shown('');
}

function follow(array $order): array
{
    global $stomp, $messages;
    $headers = $order['headers'] ?? [];
    $message = $messages[$order['message'] ?? ''] ?? null;
    if (isset($message->headers['ack'])) {
        $headers['id'] = $message->headers['ack'];
    }
    switch ($order['do']) {
        case 'connect':
            return connect($order);
        case 'receive':
            return receive();
        case 'disconnect':
            $stomp = null;
            return shown('');
    }
    $success = match ($order['do']) {
        'subscribe' => $stomp->subscribe($order['destination'], $headers),
        'unsubscribe' => $stomp->unsubscribe($order['destination'], $headers),
        'send' => $stomp->send($order['destination'], hex2bin($order['hex']), $headers),
        'begin' => $stomp->begin($order['transaction'], $headers),
        'commit' => $stomp->commit($order['transaction'], $headers),
        'abort' => $stomp->abort($order['transaction'], $headers),
        'ack' => $stomp->ack($message, $headers),
        'nack' => $stomp->nack($message, $headers),
    };
    return confirmation($success, $headers);
}

echo "{}\n";
while (($line = fgets(STDIN)) !== false) {
    try {
        $answer = follow(json_decode($line, true, flags: JSON_THROW_ON_ERROR));
    } catch (StompException $error) {
        $answer = shown('ERROR', ['message' => $error->getMessage()], $error->getDetails());
    }
    echo json_encode($answer, JSON_THROW_ON_ERROR), "\n";
}
