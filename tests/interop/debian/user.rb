# A user of ruby-stomp, in the hands of a test: a line of JSON says what to do, a line of JSON says
# what came of it.

require "json"
require "stomp"

$stdout.sync = true
$heard = []
$messages = {}

def shown(frame)
  return { command: nil } if frame.nil?

  $messages[frame.headers["message-id"]] = frame
  { command: frame.command, headers: frame.headers, hex: frame.body.unpack1("H*") }
end

def connect(order)
  headers = {}
  unless order["version"] == "1.0"
    headers = { "accept-version" => order["version"], "host" => "localhost" }
    headers["heart-beat"] = order["beats"] if order["beats"]
  end
  host = order.slice("host", "port", "login", "passcode").transform_keys(&:to_sym)
  $stomp = Stomp::Connection.new(hosts: [host], reliable: false, connect_headers: headers)
  shown($stomp.connection_frame)
end

def acknowledgement(order)
  headers = $messages[order["message"]].headers
  case $stomp.protocol
  when "1.2" then [headers["ack"], order["headers"]]
  when "1.1" then [headers["message-id"], order["headers"].merge("subscription" => headers["subscription"])]
  else [headers["message-id"], order["headers"]]
  end
end

# What the server answered, if the order asked for a receipt; messages that came before are kept.
def confirmation(order)
  return { command: "" } unless order["headers"]["receipt"]

  frame = $stomp.receive
  while frame && frame.command == "MESSAGE"
    $heard << frame
    frame = $stomp.receive
  end
  shown(frame)
end

def follow(order)
  destination, headers = order.values_at("destination", "headers")
  case order["do"]
  when "connect" then return connect(order)
  when "receive" then return shown($heard.shift || $stomp.receive)
  when "beats" then return { sent: $stomp.hbsend_count, received: $stomp.hbrecv_count }
  when "disconnect"
    $stomp.disconnect("receipt" => "over")
    return shown($stomp.disconnect_receipt)
  when "subscribe" then $stomp.subscribe(destination, headers)
  when "unsubscribe" then $stomp.unsubscribe(destination, headers)
  when "send" then $stomp.publish(destination, [order["hex"]].pack("H*"), headers)
  when "begin" then $stomp.begin(order["transaction"], headers)
  when "commit" then $stomp.commit(order["transaction"], headers)
  when "abort" then $stomp.abort(order["transaction"], headers)
  when "ack" then $stomp.ack(*acknowledgement(order))
  when "nack" then $stomp.nack(*acknowledgement(order))
  end
  confirmation(order)
end

puts "{}"
$stdin.each_line { |line| puts JSON.generate(follow(JSON.parse(line))) }
