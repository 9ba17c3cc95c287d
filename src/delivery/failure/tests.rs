//! Real failures: closed ports, TLS servers with certificates of `fixtures/tls`, and proxies, each on this machine.

use crate::delivery::Delivery;
use crate::request::Target;
use crate::token::{AccessToken, Kept};
use crate::way::{Way, authorities, identity};
use pipeline_core::{HealthcheckError, ManualClock, SensitiveString};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_rustls::TlsAcceptor;

const TOKEN: &str = "EAAB-secret-token";
const PASSWORD: &str = "pass-of-the-proxy";
const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{\"id\":\"1\"}";

fn fixture(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tls");
    PathBuf::from(folder).join(name)
}

/// No proxy, whatever the environment says, and our own authority is trusted.
fn trusting() -> Way {
    Way {
        proxy: Some(SensitiveString::default()),
        authorities: authorities(&fixture("ca.pem")).unwrap(),
        identity: None,
    }
}

fn through(proxy: String) -> Way {
    Way {
        proxy: Some(SensitiveString::from(proxy)),
        ..trusting()
    }
}

fn delivery(endpoint: &str, way: &Way, timeout: Duration) -> Delivery {
    let target = Target {
        endpoint: endpoint.to_owned(),
        api_version: "v25.0".into(),
        pixel_id: "1".into(),
        test_event_code: None,
        partner_agent: None,
        timeout,
    };
    let token = AccessToken::new(
        Kept::new(SensitiveString::from(TOKEN.to_owned()), None),
        None,
    )
    .unwrap();
    Delivery::new(target, token, way, Arc::new(ManualClock::at(0))).unwrap()
}

/// What the probe of a sink says; it must not show a host, a token or a password.
async fn told(endpoint: &str, way: &Way) -> Result<(), (String, String)> {
    let delivery = delivery(endpoint, way, Duration::from_secs(30));
    delivery.healthcheck().await.map_err(|error| {
        let HealthcheckError::Unavailable(reason) = error else {
            panic!("{error:?}");
        };
        let shown = format!("{reason:?} {delivery:?}");
        for secret in [TOKEN, PASSWORD, "127.0.0.1", "localhost:", ".invalid"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        (reason.code.to_owned(), reason.detail.into_owned())
    })
}

async fn failed(endpoint: &str, way: &Way) -> String {
    let (code, detail) = told(endpoint, way).await.unwrap_err();
    assert_eq!(code, "connection_failed");
    let words = detail
        .strip_prefix("the connection to Meta failed")
        .unwrap();
    words.trim_start_matches(": ").to_owned()
}

/// Reads the head of a request.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A server that answers every connection's first request with this, whatever was asked; hands over what it read.
async fn plain(answer: &'static str) -> (u16, UnboundedReceiver<String>) {
    let (listener, port) = listen().await;
    let (heads, seen) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = heads.send(head(&mut stream).await);
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, seen)
}

fn tls(certificate: &str, wants_client: bool) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(fixture(certificate)).unwrap();
    let chain = chain.map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    let provider = Arc::new(default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let server = if wants_client {
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(fixture("ca.pem")).unwrap())
            .unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        server.with_client_cert_verifier(clients.build().unwrap())
    } else {
        server.with_no_client_auth()
    };
    TlsAcceptor::from(Arc::new(server.with_single_cert(chain, key).unwrap()))
}

async fn serve(acceptor: TlsAcceptor) -> u16 {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                head(&mut stream).await;
                let _ = stream.write_all(GOOD.as_bytes()).await;
            });
        }
    });
    port
}

/// A proxy that connects to this machine, whatever host was asked for, if it gets this header.
async fn proxy(port: u16, expected: &'static str) -> (u16, UnboundedReceiver<String>) {
    let (listener, own) = listen().await;
    let (heads, seen) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let asked = head(&mut stream).await;
            let is_welcome = asked.to_lowercase().contains(&expected.to_lowercase());
            let _ = heads.send(asked);
            if !is_welcome {
                let refusal =
                    "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
                let _ = stream.write_all(refusal.as_bytes()).await;
                continue;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await;
            let mut beyond = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            tokio::spawn(async move { pass(&mut stream, &mut beyond).await });
        }
    });
    (own, seen)
}

async fn pass(one: &mut (impl AsyncRead + AsyncWrite + Unpin), other: &mut TcpStream) {
    let _ = tokio::io::copy_bidirectional(one, other).await;
}

#[tokio::test]
async fn a_closed_port_is_told_as_refused() {
    let (listener, port) = listen().await;
    drop(listener);
    for scheme in ["http", "https"] {
        let words = failed(&format!("{scheme}://127.0.0.1:{port}"), &trusting()).await;
        assert!(words.starts_with("refused"), "{words}");
    }
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_told_as_not_found() {
    for host in [
        "https://graph.facebook.invalid",
        "http://other.invalid:8080",
    ] {
        let words = failed(host, &trusting()).await;
        assert!(
            words.starts_with("the host's name was not found"),
            "{words}"
        );
    }
}

#[tokio::test]
async fn a_connection_that_is_reset_or_closed_is_told_as_that() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            head(&mut stream).await;
            stream.set_zero_linger().unwrap();
        }
    });
    let words = failed(&format!("http://127.0.0.1:{port}"), &trusting()).await;
    assert_eq!(words, "it was reset by the other side");
    let (port, _seen) = plain("").await;
    let words = failed(&format!("http://127.0.0.1:{port}"), &trusting()).await;
    assert_eq!(words, "it was closed before an answer came");
    let (port, _seen) = plain("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{\"id").await;
    let words = failed(&format!("http://127.0.0.1:{port}"), &trusting()).await;
    assert_eq!(words, "it was closed by the other side");
}

#[tokio::test]
async fn a_server_that_never_answers_the_handshake_is_told_as_not_in_time() {
    let (_listener, port) = listen().await;
    let endpoint = format!("https://127.0.0.1:{port}");
    let delivery = delivery(&endpoint, &trusting(), Duration::from_secs(1));
    let Err(HealthcheckError::Unavailable(reason)) = delivery.healthcheck().await else {
        panic!("it was reached");
    };
    assert_eq!(reason.code, "connection_failed");
    assert!(
        reason.detail.contains("no connection was made in time"),
        "{}",
        reason.detail
    );
}

#[tokio::test]
async fn every_fault_of_a_certificate_is_told_by_its_kind() {
    for (certificate, expected) in [
        ("expired.pem", "the server's certificate has expired"),
        (
            "not_yet_valid.pem",
            "the server's certificate is not valid yet",
        ),
        (
            "other_host.pem",
            "the server's certificate is for another host",
        ),
    ] {
        let port = serve(tls(certificate, false)).await;
        let words = failed(&format!("https://localhost:{port}"), &trusting()).await;
        assert!(words.starts_with(expected), "{certificate}: {words}");
    }
    let port = serve(tls("good.pem", false)).await;
    let stranger = Way {
        // A certificate that has nothing to do with it, so that no store of the machine is needed.
        authorities: authorities(&fixture("other_host.pem")).unwrap(),
        ..trusting()
    };
    let words = failed(&format!("https://localhost:{port}"), &stranger).await;
    assert!(
        words.contains("unknown issuer") && words.contains("`ca_file`"),
        "{words}"
    );
}

#[tokio::test]
async fn a_server_whose_authority_is_given_is_trusted() {
    let port = serve(tls("good.pem", false)).await;
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(
            told(&format!("https://{host}:{port}"), &trusting()).await,
            Ok(())
        );
    }
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_gets_the_one_that_is_given() {
    let endpoint = format!("https://localhost:{}", serve(tls("good.pem", true)).await);
    let words = failed(&endpoint, &trusting()).await;
    assert!(words.contains("`client_cert_file`"), "{words}");
    let known = Way {
        identity: Some(identity(&fixture("client.pem")).unwrap()),
        ..trusting()
    };
    assert_eq!(told(&endpoint, &known).await, Ok(()));
}

#[tokio::test]
async fn an_answer_that_is_not_tls_is_told_as_a_failed_handshake() {
    for answer in [
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n",
    ] {
        let (listener, port) = listen().await;
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        });
        let words = failed(&format!("https://localhost:{port}"), &trusting()).await;
        assert!(words.starts_with("the TLS handshake failed"), "{words}");
    }
}

#[tokio::test]
async fn tls_goes_through_a_proxy_with_its_password() {
    let port = serve(tls("good.pem", false)).await;
    // `user:pass-of-the-proxy` in base64.
    let expected = "proxy-authorization: Basic dXNlcjpwYXNzLW9mLXRoZS1wcm94eQ==";
    let (own, mut seen) = proxy(port, expected).await;
    let way = through(format!("http://user:{PASSWORD}@127.0.0.1:{own}"));
    assert_eq!(
        told(&format!("https://localhost:{port}"), &way).await,
        Ok(())
    );
    let asked = seen.recv().await.unwrap();
    assert!(
        asked.starts_with(&format!("CONNECT localhost:{port} ")),
        "{asked}"
    );
    assert!(!asked.contains(TOKEN), "{asked}");
    assert!(!format!("{way:?}").contains(PASSWORD));
}

#[tokio::test]
async fn what_is_not_encrypted_goes_through_a_proxy_too() {
    let (own, mut seen) = plain(GOOD).await;
    let way = through(format!("user:{PASSWORD}@127.0.0.1:{own}"));
    assert_eq!(told("http://graph.invalid:81", &way).await, Ok(()));
    let asked = seen.recv().await.unwrap();
    assert!(
        asked.starts_with("GET http://graph.invalid:81/v25.0/1?fields=id "),
        "{asked}"
    );
    assert!(
        asked.to_lowercase().contains("proxy-authorization: basic "),
        "{asked}"
    );
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told_apart_from_a_destination_that_does() {
    let wants_password = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
    for endpoint in ["https://graph.invalid", "http://graph.invalid"] {
        let (own, _seen) = plain(wants_password).await;
        let way = through(format!("http://user:{PASSWORD}@127.0.0.1:{own}"));
        let words = failed(endpoint, &way).await;
        assert!(words.starts_with("the proxy wants a user name"), "{words}");
    }
    for (answer, expected) in [
        (
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
            "the proxy refused to connect to",
        ),
        (
            "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n",
            "the proxy refused to connect to",
        ),
        ("", "the proxy closed it without an answer"),
    ] {
        let (own, _seen) = plain(answer).await;
        let words = failed(
            "https://graph.invalid",
            &through(format!("127.0.0.1:{own}")),
        )
        .await;
        assert!(words.starts_with(expected), "{words}");
    }
}

#[tokio::test]
async fn a_proxy_that_cannot_be_reached_is_told_as_that() {
    let (listener, port) = listen().await;
    drop(listener);
    let words = failed(
        "https://graph.invalid",
        &through(format!("127.0.0.1:{port}")),
    )
    .await;
    assert!(
        words.trim_start().starts_with("at the proxy: refused"),
        "{words}"
    );
    let words = failed(
        "https://graph.invalid",
        &through("proxy.invalid:1".to_owned()),
    )
    .await;
    assert!(
        words
            .trim_start()
            .starts_with("at the proxy: the host's name"),
        "{words}"
    );
}

/// What a SOCKS 5 proxy was asked: the user name and password, and the host with its port.
#[derive(Debug, PartialEq)]
struct Socks {
    credentials: Option<(String, String)>,
    host: String,
    port: u16,
}

async fn bytes(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

async fn text(stream: &mut TcpStream) -> String {
    let length = stream.read_u8().await.unwrap();
    let bytes = bytes(stream, length.into()).await;
    String::from_utf8(bytes).unwrap()
}

/// The part of RFC 1928 and RFC 1929 before a connection is made: with a password only where `wants_password`.
async fn greet(stream: &mut TcpStream, wants_password: bool) -> Option<Socks> {
    assert_eq!(stream.read_u8().await.ok()?, 5);
    let methods = stream.read_u8().await.unwrap();
    let methods = bytes(stream, methods.into()).await;
    let wanted = if wants_password { 2 } else { 0 };
    if !methods.contains(&wanted) {
        let _ = stream.write_all(&[5, 0xff]).await;
        return None;
    }
    stream.write_all(&[5, wanted]).await.unwrap();
    let mut credentials = None;
    if wants_password {
        assert_eq!(stream.read_u8().await.unwrap(), 1);
        let (user, password) = (text(stream).await, text(stream).await);
        let is_known = password == PASSWORD;
        stream.write_all(&[1, u8::from(!is_known)]).await.unwrap();
        if !is_known {
            return None;
        }
        credentials = Some((user, password));
    }
    let asked = bytes(stream, 4).await;
    assert_eq!(asked[..3], [5, 1, 0], "it is to connect");
    let host =
        match asked[3] {
            1 => std::net::Ipv4Addr::from_octets(bytes(stream, 4).await.try_into().unwrap())
                .to_string(),
            4 => std::net::Ipv6Addr::from_octets(bytes(stream, 16).await.try_into().unwrap())
                .to_string(),
            3 => text(stream).await,
            other => panic!("{other} is no kind of address"),
        };
    Some(Socks {
        credentials,
        host,
        port: stream.read_u16().await.unwrap(),
    })
}

/// A SOCKS 5 proxy that answers with this status, and where that is 0 connects to `port`, whatever host was asked for.
async fn socks(port: u16, wants_password: bool, status: u8) -> (u16, UnboundedReceiver<Socks>) {
    let (listener, own) = listen().await;
    let (requests, seen) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let Some(asked) = greet(&mut stream, wants_password).await else {
                continue;
            };
            let _ = requests.send(asked);
            let answer = [5, status, 0, 1, 0, 0, 0, 0, 0, 0];
            stream.write_all(&answer).await.unwrap();
            if status == 0 {
                let mut beyond = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(async move { pass(&mut stream, &mut beyond).await });
            }
        }
    });
    (own, seen)
}

#[tokio::test]
async fn requests_go_through_a_socks_proxy_with_its_password_and_names_are_looked_up_where_it_says()
{
    let tls = serve(tls("good.pem", false)).await;
    let (open, _heads) = plain(GOOD).await;
    for (scheme, port) in [("https", tls), ("http", open)] {
        let credentials = Some(("user".to_owned(), PASSWORD.to_owned()));
        let asked = |host: &str, credentials| Socks {
            credentials,
            host: host.to_owned(),
            port,
        };
        let (own, mut seen) = socks(port, true, 0).await;
        let way = through(format!("socks5h://user:{PASSWORD}@127.0.0.1:{own}"));
        let endpoint = format!("{scheme}://localhost:{port}");
        assert_eq!(told(&endpoint, &way).await, Ok(()));
        assert_eq!(seen.recv().await, Some(asked("localhost", credentials)));
        assert!(!format!("{way:?}").contains(PASSWORD));
        let (own, mut seen) = socks(port, false, 0).await;
        let way = through(format!("socks5://127.0.0.1:{own}"));
        assert_eq!(told(&endpoint, &way).await, Ok(()));
        let host = seen.recv().await.unwrap().host;
        assert!(["127.0.0.1", "::1"].contains(&host.as_str()), "{host}");
    }
    // A name that only the proxy can find.
    let (own, mut seen) = socks(open, false, 0).await;
    let way = through(format!("socks5h://127.0.0.1:{own}"));
    assert_eq!(told("http://graph.invalid", &way).await, Ok(()));
    let asked = seen.recv().await.unwrap();
    assert_eq!((asked.host.as_str(), asked.port), ("graph.invalid", 80));
}

/// A server that says this to everybody, and closes.
async fn says(words: &'static str) -> u16 {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // A connection with unread bytes would be reset.
            let _ = stream.read(&mut [0; 64]).await;
            let _ = stream.write_all(words.as_bytes()).await;
        }
    });
    port
}

#[tokio::test]
async fn what_fails_at_a_socks_proxy_is_told_as_that() {
    let (listener, closed) = listen().await;
    drop(listener);
    let http = says("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let silent = says("").await;
    let (strict, _seen) = socks(1, true, 0).await;
    let (unwilling, _others) = socks(1, false, 2).await;
    for (proxy, expected) in [
        (
            format!("socks5h://127.0.0.1:{closed}"),
            "the proxy cannot be reached",
        ),
        (
            format!("socks5h://user:wrong@127.0.0.1:{strict}"),
            "the proxy wants a user name",
        ),
        (
            format!("socks5h://127.0.0.1:{strict}"),
            "the proxy wants a user name",
        ),
        (
            format!("socks5h://127.0.0.1:{unwilling}"),
            "the proxy refused to connect to",
        ),
        (
            format!("socks5h://127.0.0.1:{http}"),
            "the answer of the proxy is not SOCKS 5",
        ),
        (
            format!("socks5h://127.0.0.1:{silent}"),
            "the proxy closed it without an answer",
        ),
        (
            format!("socks5://127.0.0.1:{unwilling}"),
            "the host's name was not found; with `socks5h`",
        ),
    ] {
        for scheme in ["http", "https"] {
            let words = failed(
                &format!("{scheme}://graph.invalid"),
                &through(proxy.clone()),
            )
            .await;
            assert!(words.starts_with(expected), "{proxy}, {scheme}: {words}");
        }
    }
    // What fails behind it is told as without it.
    let port = serve(tls("other_host.pem", false)).await;
    let (own, _seen) = socks(port, false, 0).await;
    let way = through(format!("socks5h://127.0.0.1:{own}"));
    let words = failed(&format!("https://localhost:{port}"), &way).await;
    assert!(words.contains("is for another host"), "{words}");
}
