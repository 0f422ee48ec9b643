//! A real browser over TLS, which speaks HTTP/2 where the proxy does: native EventSource and WebSocket.

use santral_testkit::reverse_proxy::Product;
use serde_json::{Value, json};

use super::gateways::{Gateway, Setup};
use super::publish_numbers_to;
use crate::browser::driver::Browser;
use crate::support::{PATIENCE, Santral};

/// Over HTTP/2 many streams share a connection, and some proxies (HAProxy) let WebSockets into it as well
/// (RFC 8441), so this is another way through them than that of all other tests.
#[test]
fn a_browser_hears_everything_over_http2_by_stream_and_by_websocket() {
    let santral = Santral::start_with(&[("SANTRAL_TRUSTED_PROXIES", "127.0.0.1")]);
    let Some(browser) = Browser::start() else { return };
    for product in Product::ALL {
        let Some(gateway) = Gateway::start(product, Setup::Tls, santral.address) else { continue };
        browser.open(&format!("https://{}/health", gateway.place.address()));
        let protocol = browser.run("return performance.getEntriesByType('navigation')[0].nextHopProtocol", &[]);
        let expected = if product == Product::Apache { "http/1.1" } else { "h2" };
        assert_eq!(protocol, expected, "{}", gateway.name());
        browser.run(LISTEN, &[]);
        browser.wait_for("both say hello", PATIENCE, || (browser.run(HELLOS, &[]) == 2).then_some(()));
        let ids = publish_numbers_to(CHANNEL, gateway.address(), 0, COUNT);
        let expected: Vec<_> = ids.iter().enumerate().map(|(number, id)| json!([id, number])).collect();
        for transport in ["stream", "socket"] {
            let what = format!("all messages by {transport} and {}", gateway.name());
            let heard = browser.wait_for(&what, PATIENCE, || {
                let heard = browser.run(HEARD, &[json!(transport)]);
                heard.as_array().is_some_and(|heard| heard.len() >= COUNT).then_some(heard)
            });
            assert_eq!(heard, Value::Array(expected.clone()), "{what}");
        }
        browser.run(CLOSE, &[]);
    }
}

const CHANNEL: &str = "browsers";

const COUNT: usize = 300;

/// Follows the channel both ways and keeps `[id, number]` of each message.
const LISTEN: &str = "
    window.heard = { stream: [], socket: [], hellos: 0 };
    const query = '?channel=browsers&broadcast=0';
    window.stream = new EventSource('/api/events' + query);
    stream.addEventListener('hello', () => heard.hellos++);
    stream.onmessage = (event) => heard.stream.push([event.lastEventId, JSON.parse(event.data)]);
    window.socket = new WebSocket(`wss://${location.host}/api/v1/ws${query}`);
    socket.onmessage = (message) => {
        const event = JSON.parse(message.data);
        if (event.event === 'hello') heard.hellos++;
        if (event.event === 'message') heard.socket.push([event.id, event.data]);
    };";

const HELLOS: &str = "return heard.hellos";

const HEARD: &str = "return heard[arguments[0]]";

const CLOSE: &str = "stream.close(); socket.close();";
