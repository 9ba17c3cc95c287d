//! A server with a certificate of `fixtures/tls`, which is replaced while it runs.

use super::*;
use crate::http::{Deadlines, Hold, Memory, Proxies, Refusal, Server, read};
use crate::test_intake::StopHandle;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode, Version};
use axum::routing::{get, post};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as HttpBody, Frame};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::{Certificate, Client};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

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

const SHORT: Duration = Duration::from_millis(20);

/// A server with TLS and this router.
async fn start(router: Router, deadlines: Deadlines) -> (SocketAddr, StopHandle, JoinHandle<()>) {
    let folder = Folder::new();
    let tls = folder.files().open("web").unwrap();
    let server = Server::bind("web", ([127, 0, 0, 1], 0).into(), deadlines).await;
    let server = server.unwrap().with_tls(Some(tls));
    let address = server.address();
    let (stop, stopping) = StopHandle::new(Duration::ZERO);
    let serving = tokio::spawn(async move { server.serve(router, &stopping, SHORT).await });
    (address, stop, serving)
}

/// A connection over which a client offers HTTP/2.
async fn secure(address: SocketAddr) -> TlsStream<TcpStream> {
    shaken(TcpStream::connect(address).await.unwrap()).await
}

/// The same over a connection that is there.
async fn shaken(stream: TcpStream) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let authority = std::fs::read(fixture("ca.pem")).unwrap();
    roots
        .add(CertificateDer::from_pem_slice(&authority).unwrap())
        .unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![HTTP_2.to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect("localhost".try_into().unwrap(), stream);
    let stream = stream.await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(HTTP_2));
    stream
}

/// What requests bring.
type Sent = BoxBody<Bytes, Infallible>;

/// A body that never comes.
struct Silent;

impl HttpBody for Silent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

/// The same, ready for requests, and what ends with the connection.
async fn http2(address: SocketAddr) -> (SendRequest<Sent>, JoinHandle<hyper::Result<()>>) {
    let stream = TokioIo::new(secure(address).await);
    let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await;
    let (mut sender, connection) = shaken.unwrap();
    let connection = tokio::spawn(connection);
    // What the server allows is known with its first answer; what exceeds that before is refused and may be repeated.
    answer(&mut sender, to("/none", "")).await.unwrap();
    (sender, connection)
}

fn to(path: &str, body: impl Into<Bytes>) -> Request<Sent> {
    let request = Request::post(format!("https://localhost{path}"));
    request.body(Full::new(body.into()).boxed()).unwrap()
}

async fn answer(
    sender: &mut SendRequest<Sent>,
    request: Request<Sent>,
) -> hyper::Result<(StatusCode, String)> {
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    assert_eq!(answer.version(), Version::HTTP_2);
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec()).unwrap()))
}

/// Answers with the host and the length of the body.
fn length(deadlines: Deadlines) -> Router {
    let memory = Memory::new(1 << 24);
    let read_all = move |headers: HeaderMap, body: Body| async move {
        let mut hold: Hold = memory.hold(Duration::from_secs(30));
        let read = read(body, 5_000_000, &mut hold, &deadlines).await?;
        let host = headers["host"].to_str().unwrap_or_default();
        Ok::<_, Refusal>(format!("{host} {}", read.len()))
    };
    Router::new().route("/", post(read_all))
}

#[tokio::test]
async fn requests_of_http_2_are_answered_whatever_their_number_and_their_size() {
    let (address, stop, serving) = start(length(Deadlines::DEFAULT), Deadlines::DEFAULT).await;
    let (sender, connection) = http2(address).await;
    let mut answers = JoinSet::new();
    for number in 0..100 {
        let mut sender = sender.clone();
        // Some are far larger than what a connection may bring unread.
        let bytes = if number % 25 == 0 { 1_000_000 } else { number };
        answers.spawn(async move {
            let answered = answer(&mut sender, to("/", vec![b'x'; bytes])).await;
            assert_eq!(
                answered.unwrap(),
                (StatusCode::OK, format!("localhost {bytes}"))
            );
        });
    }
    answers.join_all().await;
    drop(sender);
    stop.stop();
    serving.await.unwrap();
    let _ = connection.await.unwrap();
}

#[tokio::test]
async fn a_connection_of_http_2_has_so_many_requests_at_once_and_no_more() {
    const MOST: usize = 8;
    static NOW: AtomicUsize = AtomicUsize::new(0);
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let waiting = Arc::clone(&gate);
    let wait = move || async move {
        let now = NOW.fetch_add(1, Ordering::SeqCst) + 1;
        let pass = waiting.acquire().await.unwrap();
        pass.forget();
        NOW.fetch_sub(1, Ordering::SeqCst);
        now.to_string()
    };
    let router = Router::new().route("/", post(wait));
    let (address, stop, serving) = start(router, Deadlines::DEFAULT).await;
    let (sender, _connection) = http2(address).await;
    let mut answers = JoinSet::new();
    for _ in 0..3 * MOST {
        let mut sender = sender.clone();
        answers.spawn(async move { answer(&mut sender, to("/", "")).await.unwrap().1 });
    }
    while NOW.load(Ordering::SeqCst) < MOST {
        tokio::task::yield_now().await;
    }
    gate.add_permits(3 * MOST);
    let most = answers.join_all().await.into_iter();
    let most = most.map(|now| now.parse::<usize>().unwrap()).max();
    assert_eq!(most, Some(MOST));
    stop.stop();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_request_of_http_2_that_is_out_of_bounds_costs_no_other() {
    let (address, stop, serving) = start(length(Deadlines::DEFAULT), Deadlines::DEFAULT).await;
    let (mut sender, _connection) = http2(address).await;
    let mut long = to("/", "");
    let value = "x".repeat(20_000).parse().unwrap();
    long.headers_mut().insert("x-long", value);
    let refused = answer(&mut sender, long).await;
    let status = refused.map(|(status, _)| status);
    assert!(
        status.as_ref().map_or(true, |status| *status == 431),
        "{status:?}"
    );
    // What is left of a body that is refused takes no room from others.
    for _ in 0..10 {
        let large = answer(&mut sender, to("/", vec![b'x'; 5_000_001])).await;
        assert_eq!(large.unwrap().0, StatusCode::PAYLOAD_TOO_LARGE);
        let good = answer(&mut sender, to("/", "{}")).await;
        assert_eq!(good.unwrap().1, "localhost 2");
    }
    stop.stop();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_body_of_http_2_that_does_not_come_costs_its_request_only() {
    let deadlines = Deadlines {
        body_grace: Duration::ZERO,
        body_window: SHORT,
        ..Deadlines::DEFAULT
    };
    let (address, stop, serving) = start(length(deadlines), deadlines).await;
    let (mut sender, _connection) = http2(address).await;
    let silent = Request::post("https://localhost/").body(Silent.boxed());
    let late = answer(&mut sender, silent.unwrap()).await.unwrap();
    assert_eq!(late.0, StatusCode::REQUEST_TIMEOUT);
    let none = answer(&mut sender, to("/none", "")).await.unwrap();
    assert_eq!(none.0, StatusCode::NOT_FOUND);
    stop.stop();
    serving.await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_of_http_2_is_closed_and_one_that_works_is_not() {
    let deadlines = Deadlines {
        idle: SHORT,
        head: SHORT,
        look: SHORT,
        ..Deadlines::DEFAULT
    };
    let slow = || async {
        tokio::time::sleep(SHORT * 10).await;
        "done"
    };
    let router = Router::new().route("/", post(slow));
    let (address, stop, serving) = start(router, deadlines).await;
    let (mut sender, connection) = http2(address).await;
    assert_eq!(answer(&mut sender, to("/", "")).await.unwrap().1, "done");
    connection.await.unwrap().unwrap();
    // So is one that never begins, or speaks something else.
    for sent in [
        &b""[..],
        b"PRI * HTTP/2.0\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
    ] {
        let mut stream = secure(address).await;
        stream.write_all(sent).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
    stop.stop();
    serving.await.unwrap();
}

#[tokio::test]
async fn what_has_begun_over_http_2_is_answered_when_the_source_stops() {
    let (begun, end) = (
        Arc::new(tokio::sync::Notify::new()),
        Arc::new(tokio::sync::Notify::new()),
    );
    let (has_begun, may_end) = (Arc::clone(&begun), Arc::clone(&end));
    let wait = move || async move {
        has_begun.notify_one();
        may_end.notified().await;
        "answered"
    };
    let folder = Folder::new();
    let tls = folder.files().open("web").unwrap();
    let server = Server::bind("web", ([127, 0, 0, 1], 0).into(), Deadlines::DEFAULT).await;
    let server = server.unwrap().with_tls(Some(tls));
    let address = server.address();
    let (stop, stopping) = StopHandle::new(Duration::ZERO);
    let router = Router::new().route("/", post(wait));
    let grace = Duration::from_secs(30);
    let serving = tokio::spawn(async move { server.serve(router, &stopping, grace).await });
    let (mut sender, connection) = http2(address).await;
    let answered = tokio::spawn(async move { answer(&mut sender, to("/", "")).await });
    begun.notified().await;
    stop.stop();
    end.notify_one();
    assert_eq!(answered.await.unwrap().unwrap().1, "answered");
    serving.await.unwrap();
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_balancer_says_for_whom_a_connection_is_before_the_handshake() {
    let folder = Folder::new();
    let tls = folder.files().open("web").unwrap();
    let server = Server::bind("web", ([127, 0, 0, 1], 0).into(), Deadlines::DEFAULT).await;
    let trusted = Proxies::new(&["127.0.0.1".to_owned()]).unwrap();
    let server = server.unwrap().with_tls(Some(tls));
    let server = server.with_proxies(Some(trusted));
    let address = server.address();
    let (stop, stopping) = StopHandle::new(Duration::ZERO);
    let tell = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() };
    let router = Router::new().route("/", post(tell));
    let serving = tokio::spawn(async move { server.serve(router, &stopping, SHORT).await });
    let mut stream = TcpStream::connect(address).await.unwrap();
    let header = [
        &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..],
        &[203, 0, 113, 9, 192, 0, 2, 1, 0x14, 0x03, 1, 187],
    ];
    stream.write_all(&header.concat()).await.unwrap();
    let stream = TokioIo::new(shaken(stream).await);
    let hands = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await;
    let (mut sender, connection) = hands.unwrap();
    let _connection = tokio::spawn(connection);
    let (_, told) = answer(&mut sender, to("/", "")).await.unwrap();
    assert_eq!(told, "203.0.113.9:5123");
    // Without it, the handshake is not begun.
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain
        .write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00\x00\x00")
        .await
        .unwrap();
    let mut rest = Vec::new();
    let _ = plain.read_to_end(&mut rest).await;
    assert_eq!(rest, b"");
    stop.stop();
    serving.await.unwrap();
}
