/**
 * A certificate of nobody, for localhost, and its key: good until 2126 and for tests only. Made with
 *
 * openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=localhost
 *   -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout key.pem -out cert.pem
 */
export const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg2JCzAox2bOlcjQl1
tybpN0DiCg0IdUZPrMljWAHEgFWhRANCAAT9QS90YGJLKXdQN7+BXDMsQ/2QYJ3K
f9VQy92tIkh52QF583kNISmWYPk0QO8TcBT+DZL3j5mSklB+5e5OdsRp
-----END PRIVATE KEY-----
`;

export const cert = `-----BEGIN CERTIFICATE-----
MIIBnDCCAUGgAwIBAgIUCNvf3oo0ma0j25BIM0MI78dStqAwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyODAxMjQwNloYDzIxMjYxMTA0
MDEyNDA2WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAT9QS90YGJLKXdQN7+BXDMsQ/2QYJ3Kf9VQy92tIkh52QF583kNISmW
YPk0QO8TcBT+DZL3j5mSklB+5e5OdsRpo28wbTAdBgNVHQ4EFgQUYVC1AvtYBvzx
nxeBB00lQa4PrYIwHwYDVR0jBBgwFoAUYVC1AvtYBvzxnxeBB00lQa4PrYIwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSQAwRgIhAKNJ/DYiEipgaOxXOOVrNYnOWKNn2WKuqP2RLlAmiwitAiEA
k0WWvdtBCXs9wjMVacf0P8IaI02XdyPhtFeI3SrgunU=
-----END CERTIFICATE-----
`;
