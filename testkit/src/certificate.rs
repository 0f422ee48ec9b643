//! A certificate for loopback that nobody signed but itself, made by the openssl command line.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::{fs, io};

use tempfile::TempDir;

use crate::process::ProcessError;
use crate::tools::require_tool;

/// A certificate and its key in files, which go with the last clone.
#[derive(Debug, Clone)]
pub struct Certificate {
    folder: Arc<TempDir>,
}

impl Certificate {
    /// Makes one for `127.0.0.1` and `santral.example.org`; `None`, said loudly, where there is no openssl.
    ///
    /// # Errors
    /// [`ProcessError::Prepare`] with openssl's own words.
    pub fn for_loopback() -> Result<Option<Self>, ProcessError> {
        let Some(openssl) = require_tool("openssl") else {
            return Ok(None);
        };
        let failed = |source| ProcessError::Prepare { program: "openssl".to_owned(), source };
        let folder = TempDir::with_prefix("santral-certificate-").map_err(failed)?;
        let output = Command::new(openssl).args(ARGUMENTS).current_dir(folder.path()).output().map_err(failed)?;
        if !output.status.success() {
            return Err(failed(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned())));
        }
        Ok(Some(Self { folder: Arc::new(folder) }))
    }

    /// The file of the certificate.
    #[must_use]
    pub fn chain(&self) -> PathBuf {
        self.path().join("chain.pem")
    }

    /// The file of its key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.path().join("key.pem")
    }

    /// The certificate in PEM, for those who shall trust it.
    ///
    /// # Errors
    /// When somebody has deleted the file.
    pub fn pem(&self) -> io::Result<Vec<u8>> {
        fs::read(self.chain())
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// No authority, so that a client which trusts it takes it for a server's own.
const ARGUMENTS: [&str; 19] = [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-days",
    "3",
    "-subj",
    "/CN=santral.example.org",
    "-addext",
    "basicConstraints=critical,CA:FALSE",
    "-addext",
    "subjectAltName=IP:127.0.0.1,DNS:santral.example.org",
    "-keyout",
    "key.pem",
    "-out",
    "chain.pem",
];
