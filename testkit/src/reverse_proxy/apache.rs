//! A private Apache httpd with the modules and limits that Debian's package enables.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::{CERTIFICATE, KEY, Place, ReverseProxy, Site, prepare_error};
use crate::process::{ProcessError, Server, ServerCommand, Signal};

/// A running Apache.
#[derive(Debug)]
pub(super) struct Apache {
    server: Server,
    _folder: TempDir,
    loads: usize,
}

impl Apache {
    pub(super) fn start(program: &Path, site: Site, place: &Place) -> Result<Self, ProcessError> {
        let failed = prepare_error("apache2");
        let folder = TempDir::with_prefix("santral-apache-").map_err(&failed)?;
        let site = site.replace("<VirtualHost *:80>", &format!("<VirtualHost {}>", place.plain));
        let mut listen = format!("Listen {}\n", place.plain);
        let site = match &place.tls {
            None => site,
            Some((address, certificate)) => {
                listen += &format!("Listen {address}\n");
                site.replace("<VirtualHost *:443>", &format!("<VirtualHost {address}>"))
                    .replace(CERTIFICATE, &certificate.chain().display().to_string())
                    .replace(KEY, &certificate.key().display().to_string())
            }
        };
        let path = folder.path().display();
        // Its workers may not be root, and a contributor's Apache cannot be anybody else.
        let user = if rustix::process::geteuid().is_root() { "User www-data\nGroup www-data\n" } else { "" };
        let text = format!(
            "ServerRoot {path}\nDefaultRuntimeDir {path}\nPidFile {path}/apache.pid\nServerName localhost\n\
             ErrorLog \"|/bin/cat\"\nLogLevel notice\n{user}{}{AS_DEBIAN_HAS_IT}{listen}{site}",
            modules()
        );
        let file = folder.path().join("apache.conf");
        fs::write(&file, text).map_err(&failed)?;
        let server = ServerCommand::new(program).arg("-DFOREGROUND").arg("-f").arg(file).spawn()?;
        let mut apache = Self { server, _folder: folder, loads: 0 };
        apache.wait_for_load()?;
        apache.server.wait_for_tcp(place.address(), TIMEOUT)?;
        Ok(apache)
    }

    fn wait_for_load(&mut self) -> Result<(), ProcessError> {
        self.loads += 1;
        let mut seen = 0;
        let is_loaded = |line: &str| {
            seen += usize::from(line.contains("resuming normal operations"));
            (seen == self.loads).then_some(())
        };
        self.server.wait_for_line(is_loaded, TIMEOUT)
    }
}

impl ReverseProxy for Apache {
    fn reload(&mut self) -> Result<(), ProcessError> {
        self.server.signal(Signal::USR1)?;
        self.wait_for_load()
    }

    fn log(&self) -> String {
        self.server.output()
    }
}

fn modules() -> String {
    MODULES.iter().map(|name| format!("LoadModule {name}_module {MODULES_FOLDER}/mod_{name}.so\n")).collect()
}

const MODULES_FOLDER: &str = "/usr/lib/apache2/modules";

/// What the package enables and could touch a stream, and what the deployed files ask for.
const MODULES: [&str; 11] = [
    "mpm_event",
    "authz_core",
    "filter",
    "deflate",
    "reqtimeout",
    "setenvif",
    "alias",
    "mime",
    "ssl",
    "proxy",
    "proxy_http",
];

const AS_DEBIAN_HAS_IT: &str = "\
Timeout 300
KeepAlive On
MaxKeepAliveRequests 100
KeepAliveTimeout 5
StartServers 2
MinSpareThreads 25
MaxSpareThreads 75
ThreadLimit 64
ThreadsPerChild 25
MaxRequestWorkers 150
TypesConfig /etc/mime.types
RequestReadTimeout header=20-40,minrate=500
RequestReadTimeout body=10,minrate=500
AddOutputFilterByType DEFLATE text/html text/plain text/xml text/css text/javascript
AddOutputFilterByType DEFLATE application/x-javascript application/javascript application/ecmascript application/xml
";

const TIMEOUT: Duration = Duration::from_secs(20);
