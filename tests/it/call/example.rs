//! The call in 60 lines of examples/call, beside the page of calls: both speak the same protocol.

use santral_testkit::process::{Server, ServerCommand};
use santral_testkit::tools::require_tool;

use crate::browser::driver::Browser;
use crate::docs::read;
use crate::support::{PATIENCE, Santral};

use super::caller::{CALL_FLAGS, Caller, MEDIA_PATIENCE};

/// Serves the folder of examples; `None`, said loudly, without Python.
fn serve_examples() -> Option<(Server, u16)> {
    let command = ServerCommand::new(require_tool("python3")?).args(["-u", "-m", "http.server", "0"]);
    let mut server =
        command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).spawn().expect("Python starts");
    let port = |line: &str| line.split(" port ").nth(1)?.split(' ').next()?.parse().ok();
    let port = server.wait_for_line(port, PATIENCE).expect("it says where it listens");
    Some((server, port))
}

/// Waits until so many pictures besides one's own are there, and all of them move.
fn wait_for_moving_pictures(browser: &Browser, others: usize) {
    browser.wait_for("moving pictures", MEDIA_PATIENCE, || {
        let counts = browser.run(COUNT_SCRIPT, &[]);
        let counts: Vec<u64> = serde_json::from_value(counts).expect("the script makes numbers");
        (counts.len() == others + 1 && counts.iter().all(|&count| count > 5)).then_some(())
    });
}

/// How many frames each picture has shown since it was first looked at.
const COUNT_SCRIPT: &str = "return [...document.querySelectorAll('video')].map((video) => {
    const shown = video.getVideoPlaybackQuality().totalVideoFrames;
    return shown - (video.atFirst ??= shown);
});";

#[test]
fn sixty_lines_make_a_call_with_each_other_and_with_the_page() {
    assert!(read("examples/call/call.js").lines().count() <= 60, "docs/video.md says sixty");
    let santral = Santral::start_with(&[("SANTRAL_CORS_ORIGINS", "*")]);
    let Some((_server, port)) = serve_examples() else { return };
    let open = || {
        let browser = Browser::start_with(&CALL_FLAGS)?;
        browser.open(&format!("http://127.0.0.1:{port}/call/?server=http://{}#sixty", santral.address));
        browser.wait_for("in the call", PATIENCE, || (browser.text("#state") == "in the call").then_some(()));
        Some(browser)
    };
    let (Some(one), Some(other)) = (open(), open()) else { return };
    wait_for_moving_pictures(&one, 1);
    wait_for_moving_pictures(&other, 1);
    let Some(page) = Caller::join(santral.address, "sixty", "Ada") else { return };
    page.wait_for_media(2);
    wait_for_moving_pictures(&one, 2);
    wait_for_moving_pictures(&other, 2);
    page.reload();
    page.wait_for_media(2);
    wait_for_moving_pictures(&one, 2);
}
