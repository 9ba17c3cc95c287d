//! A server with a certificate of `fixtures/tls`, which is replaced while it runs.

use super::*;
use crate::http::{Deadlines, Server};
use crate::test_intake::StopHandle;
use axum::Router;
use axum::routing::get;
use reqwest::{Certificate, Client};

fn fixture(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.unwrap().join("fixtures/tls").join(name)
}

/// A client that trusts the authority of the fixtures, for the name of their certificates.
fn client(address: std::net::SocketAddr) -> Client {
    let authority = std::fs::read(fixture("ca.pem")).unwrap();
    let authority = Certificate::from_pem(&authority).unwrap();
    Client::builder()
        .tls_certs_only([authority])
        .pool_max_idle_per_host(0)
        .resolve("localhost", address)
        .build()
        .unwrap()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.put("good.pem");
        std::fs::copy(fixture("server.key"), folder.files().key).unwrap();
        folder
    }

    fn put(&self, cert: &str) {
        std::fs::copy(fixture(cert), self.files().cert).unwrap();
    }

    fn files(&self) -> TlsFiles {
        TlsFiles {
            cert: self.0.path().join("cert.pem"),
            key: self.0.path().join("key.pem"),
        }
    }
}

#[tokio::test]
async fn clients_reach_the_source_by_https_and_a_handshake_that_fails_costs_no_other() {
    let folder = Folder::new();
    let tls = folder.files().open("web").unwrap();
    let server = Server::bind("web", ([127, 0, 0, 1], 0).into(), Deadlines::DEFAULT).await;
    let server = server.unwrap().with_tls(Some(tls));
    let address = server.address();
    let (stop, stopping) = StopHandle::new(Duration::ZERO);
    let router = Router::new().route("/", get(|| async { "by https" }));
    let serving =
        tokio::spawn(async move { server.serve(router, &stopping, Duration::ZERO).await });
    let client = client(address);
    let url = format!("https://localhost:{}/", address.port());
    let plain = client.get(format!("http://localhost:{}/", address.port()));
    assert!(plain.send().await.is_err());
    // A client that never completes the handshake delays no other.
    let silent = tokio::net::TcpStream::connect(address).await.unwrap();
    let answer = client.get(&url).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "by https");
    stop.stop();
    serving.await.unwrap();
    drop(silent);
}

#[test]
fn a_certificate_that_has_changed_is_used_and_one_that_cannot_be_is_not() {
    let folder = Folder::new();
    let tls = folder.files().open("web").unwrap();
    let used = |tls: &Tls| tls.read.read().unwrap().texts.0.clone();
    let good = used(&tls);
    let mut refused = None;
    tls.look(&mut refused);
    assert_eq!((used(&tls), &refused), (good.clone(), &None));
    folder.put("other_host.pem");
    tls.look(&mut refused);
    let other = used(&tls);
    assert_ne!(other, good);
    // Half a file, and no file.
    std::fs::write(folder.files().cert, "-----BEGIN CERTIFICATE-----\nAA").unwrap();
    tls.look(&mut refused);
    assert!(refused.is_some());
    std::fs::remove_file(folder.files().cert).unwrap();
    tls.look(&mut refused);
    assert_eq!(used(&tls), other);
    folder.put("good.pem");
    tls.look(&mut refused);
    assert_eq!((used(&tls), &refused), (good, &None));
}

#[test]
fn files_that_cannot_be_used_are_problems_before_the_start_and_show_no_key() {
    let folder = Folder::new();
    assert_eq!(folder.files().check(), None);
    let key = std::fs::read_to_string(folder.files().key).unwrap();
    let middle = key.lines().nth(1).unwrap();
    std::fs::write(folder.files().key, format!("{middle}\n")).unwrap();
    let problem = folder.files().check().unwrap();
    assert_eq!(problem.path, "tls");
    assert!(!problem.to_string().contains(middle), "{problem}");
    std::fs::write(folder.files().key, key).unwrap();
    // The certificate of another key.
    folder.put("ca.pem");
    let problem = folder
        .files()
        .open("web")
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(
        problem.starts_with("source `web`: TLS cannot use `"),
        "{problem}"
    );
    let none = TlsFiles {
        cert: folder.0.path().to_owned(),
        ..folder.files()
    };
    assert!(none.check().unwrap().problem.contains("not a file"));
}
