//! Files of certificates, and the variables that name a proxy.

use super::*;
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

const TIMEOUT: Duration = Duration::from_secs(1);

fn fixture(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tls");
    PathBuf::from(folder).join(name)
}

/// The proxy's host for an endpoint, with these variables.
fn host(endpoint: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
    host_of(&Way::default(), endpoint, variables)
}

fn host_of(
    way: &Way,
    endpoint: &str,
    variables: &[(&str, &str)],
) -> Result<Option<String>, String> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    let found = way.proxy(endpoint, &|name| {
        variables.get(name).map(|text| (*text).to_owned())
    });
    let host = |(url, _): (Url, _)| url.host_str().unwrap().to_owned();
    found
        .map(|found| found.map(host))
        .map_err(|problem| problem.to_string())
}

#[test]
fn the_proxy_is_the_one_that_the_environment_names_for_the_scheme() {
    let (tls, plain) = ("https://graph.example", "http://graph.example");
    let all = [
        ("HTTPS_PROXY", "http://s:1"),
        ("HTTP_PROXY", "http://p:1"),
        ("ALL_PROXY", "a:1"),
    ];
    let is = |host: &str| Ok(Some(host.to_owned()));
    assert_eq!(host(tls, &[]), Ok(None));
    assert_eq!((host(tls, &all), host(plain, &all)), (is("s"), is("p")));
    assert_eq!(
        (host(tls, &all[2..]), host(plain, &all[2..])),
        (is("a"), is("a"))
    );
    assert_eq!(
        (host(tls, &all[1..2]), host(plain, &all[..1])),
        (Ok(None), Ok(None))
    );
    assert_eq!(host(tls, &[("https_proxy", "low:1"), all[0]]), is("low"));
    for socks in ["socks5://user:pass@s:1", "socks5h://s"] {
        assert_eq!(host(tls, &[("ALL_PROXY", socks)]), is("s"));
        assert_eq!(host(plain, &[("http_proxy", socks)]), is("s"));
    }
    // What a web server passes on of a request's header `Proxy` is not a proxy.
    assert_eq!(host(plain, &[("REQUEST_METHOD", "GET"), all[1]]), Ok(None));
    assert_eq!(
        host(plain, &[("REQUEST_METHOD", "GET"), ("http_proxy", "low:1")]),
        is("low")
    );
}

#[test]
fn the_option_comes_before_the_environment_and_an_empty_one_means_no_proxy() {
    let of = |text: &str| Way {
        proxy: Some(SensitiveString::from(text.to_owned())),
        ..Way::default()
    };
    let env = [("HTTPS_PROXY", "http://env:1"), ("NO_PROXY", "*")];
    let endpoint = "https://graph.example";
    assert_eq!(
        host_of(&of("http://opt:1"), endpoint, &env),
        Ok(Some("opt".to_owned()))
    );
    assert_eq!(host_of(&of(""), endpoint, &env), Ok(None));
}

#[test]
fn a_variable_that_is_not_the_address_of_a_proxy_is_named_and_its_value_is_not_shown() {
    for written in [
        "socks4://user:geheim@p:1",
        "socks://geheim:1",
        "socks5://",
        "socks5://geheim:1/path",
        "http://",
        "http://geheim@p:1/path",
        "geheim p",
        "ftp://geheim",
    ] {
        for name in ["HTTPS_PROXY", "ALL_PROXY", "https_proxy"] {
            let problem = host("https://graph.example", &[(name, written)]).unwrap_err();
            assert!(!problem.contains("geheim"), "{problem}");
            assert!(
                problem.contains(&format!("`{}`", name.to_uppercase())),
                "{problem}"
            );
        }
    }
}

#[test]
fn a_file_of_certificates_holds_at_least_one_that_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.pem");
    let problem = |text: &[u8]| {
        fs::write(&file, text).unwrap();
        authorities(&file).unwrap_err().to_string()
    };
    let good = fs::read(fixture("ca.pem")).unwrap();
    assert_eq!(problem(b""), "holds no certificate in PEM");
    assert_eq!(problem(b"garbage"), "holds no certificate in PEM");
    assert_eq!(
        problem(&fs::read(fixture("server.key")).unwrap()),
        "holds no certificate in PEM"
    );
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(
        problem(damaged.as_bytes()),
        "holds a certificate that cannot be read"
    );
    let both = [&good, damaged.as_bytes()].concat();
    assert_eq!(problem(&both), "holds a certificate that cannot be read");
    fs::remove_file(&file).unwrap();
    let missing = authorities(&file).unwrap_err().to_string();
    assert!(
        missing.starts_with("cannot be read (No such file"),
        "{missing}"
    );
    fs::write(&file, [&good[..], &good[..]].concat()).unwrap();
    assert_eq!(authorities(&file).unwrap().len(), 2);
}

#[test]
fn a_client_certificate_comes_with_its_own_key() {
    assert!(identity(&fixture("client.pem")).is_ok());
    for useless in ["good.pem", "server.key", "make.sh"] {
        let problem = identity(&fixture(useless)).unwrap_err().to_string();
        assert!(
            problem.starts_with("does not hold a certificate and"),
            "{useless}: {problem}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mixed.pem");
    let mixed = ["ca.pem", "server.key"].map(|name| fs::read(fixture(name)).unwrap());
    fs::write(&file, mixed.concat()).unwrap();
    assert!(identity(&file).is_err());
}

#[test]
fn only_what_is_encrypted_needs_certificates() {
    let missing = |name: &str| (name == "SSL_CERT_FILE").then(|| "/no/such/file.pem".to_owned());
    let way = Way::default();
    assert!(
        way.client_in("http://127.0.0.1:1", TIMEOUT, &missing)
            .is_ok()
    );
    let problem = way
        .client_in("https://127.0.0.1:1", TIMEOUT, &missing)
        .unwrap_err();
    let said = problem.to_string();
    assert!(said.contains("`SSL_CERT_FILE` cannot be read"), "{said}");
    // The way to the proxy is encrypted.
    let way = Way {
        proxy: Some(SensitiveString::from("https://proxy.example:1".to_owned())),
        ..Way::default()
    };
    assert!(
        way.client_in("http://127.0.0.1:1", TIMEOUT, &missing)
            .is_err()
    );
}

#[tokio::test]
async fn hosts_of_no_proxy_are_reached_without_it() {
    use axum::{Router, routing::any};
    let serve = async |name: &'static str| {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(any(move || async move { name }));
        tokio::spawn(async { axum::serve(listener, app).await });
        url
    };
    let (proxy, endpoint) = (serve("proxy").await, serve("endpoint").await);
    for (without, expected) in [
        (None, "proxy"),
        (Some("graph.example"), "proxy"),
        (Some("graph.example,127.0.0.1"), "endpoint"),
        (Some("127.0.0.0/8"), "endpoint"),
        (Some("*"), "endpoint"),
    ] {
        for name in ["NO_PROXY", "no_proxy"] {
            let variable = |asked: &str| match asked {
                "HTTP_PROXY" => Some(proxy.clone()),
                _ if asked == name => without.map(str::to_owned),
                _ => None,
            };
            let way = Way::default();
            let client = way.client_in(&endpoint, Duration::from_secs(30), &variable);
            let answer = client.unwrap().get(&endpoint).send().await.unwrap();
            assert_eq!(answer.text().await.unwrap(), expected, "{without:?}");
        }
    }
}
