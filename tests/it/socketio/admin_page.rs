//! The Admin UI itself, as its npm package brings it, in Chromium: from another origin, with a password.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use santral_testkit::http::SseClient;
use santral_testkit::websocket::{Message, WebSocket};
use serde_json::json;

use crate::browser::driver::Browser;
use crate::support::packages::node_clients;
use crate::support::people::PASSWORD;
use crate::support::{PATIENCE, Santral, deadline};

#[test]
fn the_page_shows_connections_of_all_transports_ends_one_and_comes_back_without_a_password() {
    let Some(packages) = node_clients() else { return };
    let page = serve_files(packages.join("node_modules/@socket.io/admin-ui/ui/dist"));
    let origin = format!("http://{page}");
    let (santral, admin) = Santral::start_closed(&[("SANTRAL_CORS_ORIGINS", origin.as_str())]);
    let bearer = format!("Bearer {}", admin.access);
    let headers = [("Authorization", bearer.as_str())];
    let mut sse = SseClient::open(santral.address, "/api/events?channel=news", &headers, PATIENCE).expect("it opens");
    let hello = sse.wait_for(|event| event.event_type == "hello", deadline()).expect("hello comes first").data;
    let mut websocket = WebSocket::open(santral.address, "/api/v1/ws", &headers, PATIENCE).expect("it opens");
    let Some(Message::Text(greeting)) = websocket.next_message(deadline()).expect("it greets") else { panic!("text") };
    let [sse_id, websocket_id] = [&hello, &greeting].map(|greeting| super::admin::connection_in(greeting));

    let Some(browser) = Browser::start() else { return };
    browser.open(&format!("{origin}/index.html"));
    sign_in(&browser, santral.address, "wrong");
    wait_for_text(&browser, "Invalid credentials");
    sign_in(&browser, santral.address, PASSWORD);
    browser.wait_for("the dialog to close", PATIENCE, || {
        (browser.run("return localStorage.getItem('session_id')", &[]) != json!(null)).then_some(())
    });
    wait_for_text(&browser, "/admin");
    browser.run("location.hash = '#/sockets/'", &[]);
    for shown in [&*sse_id, "sse", &*websocket_id, "WebSocket", "127.0.0.1"] {
        wait_for_text(&browser, shown);
    }
    browser.run("location.hash = '#/rooms/'", &[]);
    wait_for_text(&browser, "news");

    browser.run("location.hash = '#/sockets/'", &[]);
    wait_for_text(&browser, &sse_id);
    let end = "for (const row of document.querySelectorAll('tbody tr'))
                   if (row.textContent.includes(arguments[0])) row.querySelector('button').click();";
    browser.run(end, &[json!(sse_id)]);
    // A click on a row opens what is in it.
    browser.run("location.hash = '#/sockets/'", &[]);
    sse.wait_for(|event| event.event_type == "bye" && event.data.contains("kicked"), deadline()).expect("it ends");
    browser.wait_for("the connection to go", PATIENCE, || {
        let shown = text(&browser);
        (shown.contains(&websocket_id) && !shown.contains(&sse_id)).then_some(())
    });

    // After a reload the page brings what it was given.
    browser.run("location.reload()", &[]);
    wait_for_text(&browser, &websocket_id);
    santral.change_setting(&admin, "socketio_admin", "production");
    browser.run("location.hash = '#/'; location.reload()", &[]);
    wait_for_text(&browser, "/admin");
    let drawer = "return document.querySelector('nav').textContent";
    let has_lists = || browser.run(drawer, &[]).as_str().is_some_and(|text| text.contains("Sockets"));
    browser.wait_for("a page of figures only", PATIENCE, || (!has_lists()).then_some(()));
    wait_for_text(&browser, "Servers");
}

fn sign_in(browser: &Browser, server: SocketAddr, password: &str) {
    let mark = "document.querySelectorAll('form input').forEach((field, index) => field.id = `field-${index}`);
                return document.querySelectorAll('form input').length";
    browser.wait_for("the form", PATIENCE, || (browser.run(mark, &[]) != json!(0)).then_some(()));
    let fields = [format!("http://{server}"), "root".to_owned(), password.to_owned()];
    for (index, text) in fields.iter().enumerate() {
        // As the page's own framework listens: a field that is cleared by keys keeps what it had.
        let set = "const field = document.getElementById(`field-${arguments[0]}`);
                   field.value = arguments[1]; field.dispatchEvent(new Event('input'));";
        browser.run(set, &[json!(index), json!(text)]);
    }
    browser.run("document.querySelector('form button[type=submit]').click()", &[]);
}

fn text(browser: &Browser) -> String {
    browser.run("return document.body.innerText", &[]).as_str().unwrap_or_default().to_owned()
}

fn wait_for_text(browser: &Browser, wanted: &str) {
    browser.wait_for(&format!("the text {wanted}"), PATIENCE, || text(browser).contains(wanted).then_some(()));
}

/// Serves the files of a folder, and returns where. Ends with the process.
fn serve_files(folder: PathBuf) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let folder = folder.clone();
            // A browser that goes away is its own affair.
            std::thread::spawn(move || drop(answer(stream, &folder)));
        }
    });
    address
}

fn answer(mut stream: TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines.by_ref() {
        if line?.is_empty() {
            break;
        }
    }
    let name = request.split([' ', '?']).nth(1).unwrap_or_default().trim_start_matches('/');
    let kind = match name.rsplit('.').next() {
        Some("html") => "text/html",
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("svg") => "image/svg+xml",
        Some(_) | None => "application/octet-stream",
    };
    let Ok(mut body) = std::fs::read(folder.join(name)) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    if name == "index.html" {
        // Its fonts come from other hosts, for which a browser without them would wait.
        let text = String::from_utf8_lossy(&body).into_owned();
        let parts = text.split_inclusive('>').filter(|part| !part.contains("href=\"https:"));
        body = parts.collect::<String>().into_bytes();
    }
    let length = body.len();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}
