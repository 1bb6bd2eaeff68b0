# A user of Net::Stomp, in the hands of a test: a line of JSON says what to do, a line of JSON says
# what came of it. Text stays in UTF-8 throughout, as Net::Stomp knows only bytes.

use strict;
use warnings;
use JSON::PP;
use Net::Stomp;

my ($stomp, $version, @heard, %messages);

sub shown {
    my ($frame) = @_;
    return { command => undef } unless $frame;
    my $headers = $frame->headers;
    $messages{ $headers->{'message-id'} } = $frame if defined $headers->{'message-id'};
    return { command => $frame->command, headers => $headers, hex => unpack('H*', $frame->body) };
}

sub connect_as {
    my ($order) = @_;
    $version = $order->{version};
    my $headers = {
        login => $order->{login},
        (defined $order->{passcode} ? (passcode => $order->{passcode}) : ()),
        ($version ne '1.0' ? ('accept-version' => $version, host => 'localhost') : ()),
    };
    $stomp = Net::Stomp->new({ hostname => $order->{host}, port => $order->{port} });
    return shown($stomp->connect($headers));
}

sub acknowledgement {
    my ($order) = @_;
    my $frame = $messages{ $order->{message} };
    my $headers = $frame->headers;
    return {
        frame => $frame,
        %{ $order->{headers} },
        ($version eq '1.1' ? (subscription => $headers->{subscription}) : ()),
        ($version eq '1.2' ? (id => $headers->{ack}) : ()),
    };
}

sub transact {
    my ($command, $order) = @_;
    my $headers = { transaction => $order->{transaction}, %{ $order->{headers} } };
    $stomp->send_frame(Net::Stomp::Frame->new({ command => $command, headers => $headers }));
}

# What the server answered, if the order asked for a receipt; messages that came before are kept.
sub confirmation {
    my ($order) = @_;
    return { command => '' } unless $order->{headers}{receipt};
    my $frame;
    while (($frame = $stomp->receive_frame) && $frame->command eq 'MESSAGE') {
        push @heard, $frame;
    }
    return shown($frame);
}

my %does = (
    subscribe   => sub { $stomp->subscribe({ destination => $_[0]{destination}, %{ $_[0]{headers} } }) },
    unsubscribe => sub { $stomp->unsubscribe({ destination => $_[0]{destination}, %{ $_[0]{headers} } }) },
    send => sub {
        my ($order) = @_;
        my $body = pack('H*', $order->{hex});
        $stomp->send({
            destination => $order->{destination},
            body        => $body,
            # It sends a content-length only for this.
            ($body =~ /\0/ ? (bytes_message => 1) : ()),
            %{ $order->{headers} },
        });
    },
    begin  => sub { transact('BEGIN', @_) },
    commit => sub { transact('COMMIT', @_) },
    abort  => sub { transact('ABORT', @_) },
    ack    => sub { $stomp->ack(acknowledgement(@_)) },
    nack   => sub { $stomp->nack(acknowledgement(@_)) },
);

sub follow {
    my ($order) = @_;
    my $do = $order->{do};
    return connect_as($order) if $do eq 'connect';
    return shown(shift @heard || $stomp->receive_frame) if $do eq 'receive';
    if ($do eq 'disconnect') {
        $stomp->disconnect;
        return { command => '' };
    }
    if ($do eq 'send_transactional') {
        my $body = pack('H*', $order->{hex});
        my $frame;
        $stomp->send_transactional({ destination => $order->{destination}, body => $body }, $frame);
        return shown($frame);
    }
    $does{$do}->($order);
    return confirmation($order);
}

$| = 1;
my $json = JSON::PP->new;
print "{}\n";
while (my $line = <STDIN>) {
    print $json->encode(follow($json->decode($line))), "\n";
}
