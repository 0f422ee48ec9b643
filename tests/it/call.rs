//! The page of calls in headless Chromium: real media from browser to browser, signals through the real server.
//!
//! Without Chromium and its driver these tests are skipped, loudly, and fail in CI.

use santral_testkit::fault_proxy::{Cut, Direction, Fault, FaultProxy};
use serde_json::{Value, json};

use crate::accounts::PASSWORD;
use crate::browser::UNLABELLED_SCRIPT;
use crate::support::{PATIENCE, Santral};
use caller::Caller;

mod caller;
mod example;
mod interop;
mod relay;
mod transports;

#[test]
fn two_people_open_the_page_and_see_each_other() {
    let santral = Santral::start();
    let Some(ada) = Caller::host(santral.address, "meeting-123", "Ada") else { return };
    let Some(bob) = Caller::join(santral.address, "meeting-123", "<img src=x onerror=window.pwned=1>") else { return };
    ada.wait_for_media(1);
    bob.wait_for_media(1);
    assert_eq!(ada.names(), ["Ada (you)", "<img src=x onerror=window.pwned=1>"]);
    assert_eq!(ada.pair(&ada.others()[0]), "host/udp→host/udp");
    for caller in [&ada, &bob] {
        assert_eq!(caller.browser.run("return window.pwned ?? null", &[]), Value::Null);
        assert_eq!(caller.browser.policy_violations(), Vec::<Value>::new());
        assert_eq!(caller.browser.run(UNLABELLED_SCRIPT, &[]), json!([]));
    }
    bob.browser.click("#leave");
    ada.wait_for_tiles(1);
    assert_eq!(bob.state(), "idle");
}

#[test]
fn three_people_see_each_other() {
    let santral = Santral::start();
    let Some(ada) = Caller::host(santral.address, "three", "Ada") else { return };
    let Some(bob) = Caller::join(santral.address, "three", "Bob") else { return };
    let Some(cem) = Caller::join(santral.address, "three", "Cem") else { return };
    for caller in [&ada, &bob, &cem] {
        caller.wait_for_media(2);
    }
}

/// Both offers are made before either is delivered; the one of the lower ordinal counts.
#[test]
fn when_both_offer_at_once_the_polite_one_gives_way() {
    let santral = Santral::start();
    let lines = [(); 2].map(|()| FaultProxy::start(santral.address).expect("loopback has a free port"));
    let Some(ada) = Caller::host(lines[0].address(), "glare", "Ada") else { return };
    let Some(bob) = Caller::join(lines[1].address(), "glare", "Bob") else { return };
    ada.wait_for_media(1);
    bob.wait_for_media(1);
    for line in &lines {
        line.set_fault(Fault::Stall(Direction::ToServer));
    }
    for caller in [&ada, &bob] {
        caller.count_connections();
        caller.renew(&caller.others()[0]);
        caller.wait_for_connections(1);
    }
    for line in &lines {
        line.heal();
    }
    ada.wait_for_media(1);
    bob.wait_for_media(1);
    assert_eq!((ada.connections_made(), bob.connections_made()), (1, 2));
}

/// The offer is lost with the line, and is sent again.
#[test]
fn an_offer_that_is_lost_with_the_line_is_sent_again() {
    let Some(call) = CallOverAProxy::start() else { return };
    call.line.set_fault(Fault::Stall(Direction::ToServer));
    call.bob.renew(&call.bob.others()[0]);
    call.bob.wait_for_requests(1);
    call.cut_and_heal();
}

/// The answer is lost with the line, and comes again with the stream; the offer, whose receipt is lost, counts once.
#[test]
fn an_answer_that_is_lost_with_the_line_comes_again() {
    let Some(call) = CallOverAProxy::start() else { return };
    call.line.set_fault(Fault::Stall(Direction::ToClient));
    call.bob.renew(&call.bob.others()[0]);
    call.ada.wait_for_connections(1);
    call.cut_and_heal();
}

/// Two people, one of them behind a proxy.
struct CallOverAProxy {
    line: FaultProxy,
    ada: Caller,
    bob: Caller,
    _santral: Santral,
}

impl CallOverAProxy {
    /// Media flow, and what is made from now on is counted.
    fn start() -> Option<Self> {
        let santral = Santral::start();
        let line = FaultProxy::start(santral.address).expect("loopback has a free port");
        let ada = Caller::host(santral.address, "cut", "Ada")?;
        let bob = Caller::join(line.address(), "cut", "Bob")?;
        ada.wait_for_media(1);
        bob.wait_for_media(1);
        ada.count_connections();
        bob.count_connections();
        Some(Self { line, ada, bob, _santral: santral })
    }

    /// The negotiation that was under way comes to its end.
    fn cut_and_heal(&self) {
        // Browsers themselves repeat a request at once if the connection was an old one; let that fail, too.
        self.line.set_fault(Fault::Cut(Cut::Reset));
        self.bob.wait_for_state("reconnecting");
        self.line.heal();
        self.ada.wait_for_media(1);
        self.bob.wait_for_media(1);
        let made = (self.ada.connections_made(), self.bob.connections_made());
        assert_eq!(made, (1, 1), "nothing had to begin anew");
        self.bob.wait_for_state("joined");
    }
}

#[test]
fn a_reload_keeps_the_seat() {
    let santral = Santral::start();
    let Some(ada) = Caller::host(santral.address, "reload", "Ada") else { return };
    let Some(bob) = Caller::join(santral.address, "reload", "Bob") else { return };
    ada.wait_for_media(1);
    let before = bob.me();
    ada.browser.run("for (const tile of document.querySelectorAll('.tile')) tile.isOld = true;", &[]);
    ada.count_connections();
    bob.reload();
    ada.wait_for_media(1);
    bob.wait_for_media(1);
    assert_eq!(ada.connections_made(), 1, "a new one, to his new one");
    let after = bob.me();
    for field in ["participantId", "ordinal", "joinedAt", "displayName"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    let old = "return [...document.querySelectorAll('.tile')].map((tile) => tile.isOld === true)";
    assert_eq!(ada.browser.run(old, &[]), json!([true, true]), "his tile has never gone");
    // The host comes back as the host.
    ada.reload();
    ada.wait_for_media(1);
    bob.wait_for_media(1);
    assert_eq!(ada.me()["isHost"], true);
}

/// She has offered to who he was before his reload, and he offers to her: her offer counts, and he has to get it.
#[test]
fn an_offer_that_somebody_lost_by_a_reload_is_made_again() {
    let santral = Santral::start();
    let line = FaultProxy::start(santral.address).expect("loopback has a free port");
    let Some(ada) = Caller::host(santral.address, "reloads", "Ada") else { return };
    let Some(bob) = Caller::join(line.address(), "reloads", "Bob") else { return };
    ada.wait_for_media(1);
    bob.wait_for_media(1);
    line.set_fault(Fault::Stall(Direction::ToClient));
    ada.reload();
    ada.count_connections();
    let sent = "return performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/signal')).length";
    ada.browser.wait_for("her offer", PATIENCE, || (ada.browser.run(sent, &[]).as_u64()? > 0).then_some(()));
    line.cut_open(Cut::Reset);
    line.heal();
    bob.reload();
    ada.wait_for_media(1);
    bob.wait_for_media(1);
    assert_eq!(ada.connections_made(), 0, "she had to begin anew");
}

#[test]
fn a_call_outlives_kill_9_of_its_server() {
    let mut santral = Santral::start();
    let Some(ada) = Caller::host(santral.address, "restart", "Ada") else { return };
    let Some(bob) = Caller::join(santral.address, "restart", "Bob") else { return };
    ada.wait_for_media(1);
    bob.wait_for_media(1);
    let before = [ada.others(), bob.others()];
    ada.count_connections();
    bob.count_connections();
    santral.server.kill9().expect("the server can be killed");
    ada.wait_for_state("reconnecting");
    bob.wait_for_state("reconnecting");
    ada.wait_for_media(1);
    bob.wait_for_media(1);
    santral.start_again();
    for caller in [&ada, &bob] {
        caller.wait_for_state("joined");
        caller.wait_for_media(1);
    }
    assert_eq!([ada.others(), bob.others()], before, "nobody is thrown out");
    assert_eq!((ada.connections_made(), bob.connections_made()), (0, 0), "media has gone on");
    let pictures = "return document.querySelectorAll('.tile[data-picture=on]').length";
    ada.browser.wait_for("his camera", PATIENCE, || (ada.browser.run(pictures, &[]) == 2).then_some(()));
    // And it is a call as before: somebody new comes in, and a hand is seen.
    let Some(cem) = Caller::join(santral.address, "restart", "Cem") else { return };
    for caller in [&ada, &bob, &cem] {
        caller.wait_for_media(2);
    }
    bob.browser.click("#hand");
    ada.wait_for_text("#tiles", "hand up");
}

#[test]
fn who_is_kicked_is_out_at_once_and_stays_out() {
    let santral = Santral::start();
    let Some(ada) = Caller::host(santral.address, "kick", "Ada") else { return };
    let Some(bob) = Caller::join(santral.address, "kick", "Bob") else { return };
    ada.wait_for_media(1);
    bob.wait_for_media(1);
    ada.browser.click("[aria-label='Remove: Bob']");
    bob.wait_for_text("#notice", "You were removed from the call.");
    ada.wait_for_tiles(1);
    assert_eq!(bob.state(), "idle");
    assert_eq!(ada.with_call("call.stats()", &[]), json!({}), "nothing is sent to him");
    bob.browser.run("location.reload()", &[]);
    bob.wait_for_text("#join-title", "Join a call");
    assert_eq!(bob.state(), "idle", "a reload does not bring him back");
}

#[test]
fn a_password_and_a_host_stand_at_the_door() {
    let santral = Santral::start();
    let Some(ada) = Caller::open(santral.address, "door", "Ada") else { return };
    ada.browser.click("#new-room summary");
    ada.browser.fill("#new-password", "Kapı açık");
    ada.browser.click("#new-lobby");
    ada.browser.click("#create");
    ada.wait_for_state("joined");
    let Some(bob) = Caller::open(santral.address, "door", "Bob") else { return };
    bob.browser.click("#enter");
    bob.wait_for_text("#notice", "This room has a password.");
    bob.browser.fill("#password", "Kapı kapalı");
    bob.browser.click("#enter");
    bob.wait_for_text("#notice", "This is not the password of the room.");
    bob.browser.fill("#password", "Kapı açık");
    bob.browser.click("#enter");
    bob.wait_for_state("lobby");
    ada.wait_for_text("#knockers", "Bob");
    assert_eq!(ada.names(), ["Ada (you)"]);
    ada.browser.click("[aria-label='Turn away: Bob']");
    bob.wait_for_text("#notice", "The host did not let you in.");
    ada.browser.wait_for("nobody knocks", PATIENCE, || ada.browser.text("#knockers").is_empty().then_some(()));
    bob.browser.click("#enter");
    ada.wait_for_text("#knockers", "Bob");
    ada.browser.click("[aria-label='Let in: Bob']");
    bob.wait_for_state("joined");
    ada.wait_for_media(1);
    bob.wait_for_media(1);
    assert_eq!(ada.browser.text("#knockers"), "");
}

/// A stream cannot send headers, so it has a ticket; and a reload asks nobody again.
#[test]
fn a_closed_server_asks_who_calls_and_a_reload_keeps_the_seat() {
    let mut santral = Santral::start_with(&[("SANTRAL_OPEN", "false")]);
    santral.set_up();
    let Some(ada) = Caller::open(santral.address, "closed", "Ada") else { return };
    ada.create();
    ada.wait_for_text("#notice", "sign in and join again");
    ada.browser.fill("#sign-in-name", "root");
    ada.browser.fill("#sign-in-password", PASSWORD);
    ada.browser.click("#sign-in button");
    ada.wait_for_text("#notice", "Signed in.");
    ada.browser.click("#create");
    ada.wait_for_state("joined");
    let before = ada.me();
    assert!(before["userId"].is_string(), "{before}");
    ada.reload();
    assert_eq!(ada.me()["participantId"], before["participantId"]);
    assert_eq!(ada.me()["ordinal"], 1);
}

#[test]
fn a_shared_screen_comes_beside_the_camera_and_goes_again() {
    let santral = Santral::start();
    let Some(ada) = Caller::host(santral.address, "screen", "Ada") else { return };
    let Some(bob) = Caller::join(santral.address, "screen", "Bob") else { return };
    ada.wait_for_media(1);
    bob.count_connections();
    bob.browser.click("#screen");
    ada.wait_for_text("#tiles", "Bob: screen");
    ada.wait_for_screens(1);
    ada.wait_for_media(1);
    bob.browser.click("#screen");
    ada.wait_for_tiles(2);
    assert_eq!(bob.connections_made(), 0);
}

#[test]
fn what_somebody_switches_off_or_a_host_mutes_is_not_played() {
    let santral = Santral::start();
    let Some(ada) = Caller::host(santral.address, "mute", "Ada") else { return };
    let Some(bob) = Caller::join(santral.address, "mute", "Bob") else { return };
    ada.wait_for_media(1);
    bob.wait_for_media(1);
    let played = "call.stream(args[0]).getTracks().map(({ kind }) => kind).sort()";
    let his = [json!(ada.others()[0])];
    assert_eq!(ada.with_call(played, &his), json!(["audio", "video"]));
    bob.browser.click("#mute");
    ada.wait_for_text("#tiles", "mic off");
    assert_eq!(bob.browser.text("#mute"), "Unmute");
    bob.browser.click("#mute");
    ada.browser.click("[aria-label='Mute: Bob']");
    bob.wait_for_text("#said", "The host has muted you.");
    ada.wait_for_text("#tiles", "muted by host");
    assert_eq!(ada.with_call(played, &his), json!(["video"]));
    bob.wait_for_text("#mute", "Unmute");
    ada.browser.click("[aria-label='Let speak: Bob']");
    ada.browser
        .wait_for("both again", PATIENCE, || (ada.with_call(played, &his) == json!(["audio", "video"])).then_some(()));
}

/// Its page says goodbye by a beacon, so the others need not wait until the grace is over.
#[test]
fn who_closes_the_page_is_gone_within_moments() {
    let santral = Santral::start();
    let Some(ada) = Caller::host(santral.address, "closed", "Ada") else { return };
    let Some(bob) = Caller::join(santral.address, "closed", "Bob") else { return };
    ada.wait_for_media(1);
    bob.browser.open("about:blank");
    ada.wait_for_text("#said", "Bob has left (the page was closed).");
    ada.wait_for_tiles(1);
}

#[test]
fn the_host_ends_the_call_for_everybody() {
    let santral = Santral::start();
    let Some(ada) = Caller::host(santral.address, "end", "Ada") else { return };
    let Some(bob) = Caller::join(santral.address, "end", "Bob") else { return };
    assert!(
        !bob.browser.run("return document.getElementById('close').checkVisibility()", &[]).as_bool().unwrap_or(true)
    );
    ada.browser.click("#close");
    bob.wait_for_text("#notice", "The host has ended the call.");
    assert_eq!((ada.state(), bob.state()), ("idle".into(), "idle".into()));
}
