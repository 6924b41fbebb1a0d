//! Addresses and spellings of them, each with how far it may be reached.

use std::net::IpAddr;

use url::Url;

use crate::net::guard::{Reach, permits, permits_literal, plaintext_allowed};

#[test]
fn an_address_is_reached_only_as_far_as_its_origin_allows() {
    let cases = [
        // address, configured, from a token, what the row shows
        ("93.184.216.34", true, true, "a public address"),
        ("10.0.0.1", true, false, "private, first range"),
        ("172.15.255.255", true, true, "just below the second private range"),
        ("172.16.0.0", true, false, "the second private range starts"),
        ("172.31.255.255", true, false, "the second private range ends"),
        ("172.32.0.0", true, true, "just above the second private range"),
        ("192.168.1.1", true, false, "private, third range"),
        ("127.0.0.1", true, false, "loopback"),
        ("127.255.255.254", true, false, "all of 127/8 is loopback"),
        ("100.63.255.255", true, true, "just below carrier space"),
        ("100.64.0.1", true, false, "carrier space"),
        ("100.128.0.0", true, true, "just above carrier space"),
        ("198.18.0.1", true, false, "benchmarks"),
        ("192.0.2.7", true, false, "documents"),
        ("0.0.0.0", false, false, "unspecified reaches this machine"),
        ("0.1.2.3", false, false, "all of 0/8"),
        ("169.253.255.255", true, true, "just below link-local"),
        ("169.254.0.0", false, false, "link-local starts"),
        ("169.254.169.254", false, false, "the metadata service"),
        ("169.254.255.255", false, false, "link-local ends"),
        ("169.255.0.0", true, true, "just above link-local"),
        ("100.100.100.200", false, false, "a metadata service in carrier space"),
        ("168.63.129.16", false, false, "a metadata service with a public look"),
        ("192.0.0.192", false, false, "a metadata service in protocol space"),
        ("223.255.255.255", true, true, "just below multicast"),
        ("224.0.0.1", false, false, "multicast"),
        ("240.0.0.1", false, false, "reserved"),
        ("255.255.255.255", false, false, "broadcast"),
        ("2606:2800:220:1::1", true, true, "a public IPv6 address"),
        ("::", false, false, "unspecified"),
        ("::1", true, false, "loopback"),
        ("fe80::1", false, false, "link-local"),
        ("febf::1", false, false, "link-local to its end"),
        ("fec0::1", true, false, "site-local, which is private"),
        ("fc00::1", true, false, "unique local"),
        ("fd00:ec2::254", false, false, "a metadata service in unique local space"),
        ("fd00:ec2::255", true, false, "its neighbour is merely private"),
        ("fd20:ce::254", false, false, "another metadata service"),
        ("ff02::1", false, false, "multicast"),
        ("2001:db8::1", true, false, "documents"),
        ("3fff:fff::1", true, false, "documents, new range"),
        ("2001:0:4136:e378::1", false, false, "Teredo"),
        ("4000::1", true, false, "not handed out to anyone"),
        ("::ffff:169.254.169.254", false, false, "metadata, mapped"),
        ("::ffff:127.0.0.1", true, false, "loopback, mapped"),
        ("::ffff:93.184.216.34", true, true, "public, mapped"),
        ("::169.254.169.254", false, false, "metadata, compatible form"),
        ("::ffff:0:169.254.169.254", false, false, "metadata, translated form"),
        ("2002:a9fe:a9fe::1", false, false, "metadata through 6to4"),
        ("2002:7f00:1::1", true, false, "loopback through 6to4"),
        ("2002:5db8:d822::1", true, true, "public through 6to4"),
        ("64:ff9b::a9fe:a9fe", false, false, "metadata through NAT64"),
        ("64:ff9b::10.0.0.1", true, false, "private through NAT64"),
        ("64:ff9b::93.184.216.34", true, true, "public through NAT64"),
        ("64:ff9b:1::a9fe:a9fe", false, false, "metadata through a local NAT64"),
    ];
    for (address, configured, from_token, shows) in cases {
        let parsed: IpAddr = address.parse().unwrap();
        assert_eq!(permits(parsed, Reach::Configured), configured, "configured: {shows} ({address})");
        assert_eq!(permits(parsed, Reach::FromToken), from_token, "from a token: {shows} ({address})");
    }
}

#[test]
fn a_literal_is_judged_however_it_is_spelled() {
    let cases = [
        // url, configured, from a token, what the row shows
        ("https://169.254.169.254/", false, false, "plain"),
        ("https://0xa9fea9fe/", false, false, "one hexadecimal number"),
        ("https://2852039166/", false, false, "one decimal number"),
        ("https://0251.0376.0251.0376/", false, false, "octal"),
        ("https://169.254.43518/", false, false, "three parts"),
        ("https://[::ffff:a9fe:a9fe]/", false, false, "mapped"),
        ("https://127.1/", true, false, "short loopback"),
        ("https://localhost/", true, false, "loopback by name"),
        ("https://a.LocalHost./", true, false, "anything below localhost"),
        ("https://localhost.example/", true, true, "a public name that starts alike"),
        ("https://id.example/", true, true, "a name is judged once it is resolved"),
    ];
    for (url, configured, from_token, shows) in cases {
        let parsed = Url::parse(url).unwrap();
        assert_eq!(permits_literal(&parsed, Reach::Configured), configured, "configured: {shows} ({url})");
        assert_eq!(permits_literal(&parsed, Reach::FromToken), from_token, "from a token: {shows} ({url})");
    }
}

#[test]
fn plaintext_stays_on_this_machine() {
    let cases = [
        ("https://id.example/", true, "TLS"),
        ("http://127.0.0.1:8080/", true, "loopback"),
        ("http://[::1]/", true, "loopback, IPv6"),
        ("http://localhost/", true, "loopback by name"),
        ("http://id.example/", false, "a name"),
        ("http://10.0.0.1/", false, "private is not this machine"),
        ("http://127.0.0.1.nip.example/", false, "a name that looks like loopback"),
        ("http://[::ffff:127.0.0.1]/", false, "a mapped address is not worth an exception"),
        ("file:///etc/passwd", false, "no HTTP at all"),
    ];
    for (url, expected, shows) in cases {
        assert_eq!(plaintext_allowed(&Url::parse(url).unwrap()), expected, "{shows} ({url})");
    }
}
