// The classic programs' cryptography, by the library that they use: Crypto++. For the tests of messageu-envelope.
//
//     tool                       prints test data: lines of a name and a value
//     tool generate              prints lines: private (PKCS#8, hexadecimal), public (X.509, hexadecimal)
//     tool wrap PUBLIC KEY       prints the wrapped key
//     tool unwrap PRIVATE KEY    prints the unwrapped key
//     tool seal KEY TEXT         prints the content under AES-128-CBC, with a zero IV
//     tool open KEY CONTENT      prints the text
//     tool write-identity FILE NAME ID PRIVATE    writes an identity file, wrapped as Base64Encoder does by default
//     tool read-identity FILE    prints the name, the id, and the private key's public half
//
// Bytes are hexadecimal in arguments and output. Any failure: a line on the error stream, and status 1.
#include <cryptopp/aes.h>
#include <cryptopp/base64.h>
#include <cryptopp/filters.h>
#include <cryptopp/hex.h>
#include <cryptopp/modes.h>
#include <cryptopp/osrng.h>
#include <cryptopp/rsa.h>

#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>

using namespace CryptoPP;
using std::string;

static AutoSeededRandomPool rng;

static string hex(const string& bytes)
{
    string text;
    StringSource(bytes, true, new HexEncoder(new StringSink(text), false));
    return text;
}

static string unhex(const string& text)
{
    string bytes;
    StringSource(text, true, new HexDecoder(new StringSink(bytes)));
    return bytes;
}

static string base64(const string& bytes, bool wrapped)
{
    string text;
    StringSource(bytes, true, new Base64Encoder(new StringSink(text), wrapped));
    return text;
}

static string saved(const CryptoMaterial& key)
{
    string der;
    StringSink sink(der);
    key.Save(sink);
    return der;
}

template <class Key>
static Key loaded(const string& der)
{
    Key key;
    StringSource source(der, true);
    key.Load(source);
    if (!key.Validate(rng, 3))
        throw std::runtime_error("Crypto++ holds this key invalid");
    return key;
}

static RSA::PrivateKey generate()
{
    RSA::PrivateKey key;
    key.Initialize(rng, 1024);
    return key;
}

static string wrap(const RSA::PublicKey& key, const string& bytes)
{
    string wrapped;
    RSAES_OAEP_SHA_Encryptor encryptor(key);
    StringSource(bytes, true, new PK_EncryptorFilter(rng, encryptor, new StringSink(wrapped)));
    return wrapped;
}

static string unwrap(const RSA::PrivateKey& key, const string& wrapped)
{
    string bytes;
    RSAES_OAEP_SHA_Decryptor decryptor(key);
    StringSource(wrapped, true, new PK_DecryptorFilter(rng, decryptor, new StringSink(bytes)));
    return bytes;
}

template <class Cipher>
static string run(const string& key, const string& iv, const string& input)
{
    string output;
    Cipher cipher;
    cipher.SetKeyWithIV(reinterpret_cast<const byte*>(key.data()), key.size(), reinterpret_cast<const byte*>(iv.data()));
    StringSource(input, true, new StreamTransformationFilter(cipher, new StringSink(output)));
    return output;
}

static string seal(const string& key, const string& text, const string& iv = string(16, '\0'))
{
    return run<CBC_Mode<AES>::Encryption>(key, iv, text);
}

static string open(const string& key, const string& content)
{
    return run<CBC_Mode<AES>::Decryption>(key, string(16, '\0'), content);
}

// What rdar's program saves: its whole buffer of 1,000 bytes.
static string padded(string der)
{
    der.resize(1000);
    return der;
}

static void print_data()
{
    const RSA::PrivateKey secret = generate();
    const RSA::PublicKey open_half(secret);
    const string key = "sixteen byte key";
    const string text = "What Crypto++ seals, we open; what we seal, Crypto++ opens.";
    const string iv = "an IV in front..";
    std::cout << "# Made by tests/cryptopp/tool.cpp with Crypto++ " << CRYPTOPP_VERSION << ". The keys are for tests alone.\n"
              << "private " << hex(saved(secret)) << '\n'
              << "private-base64 " << base64(saved(secret), false) << '\n'
              << "private-padded-base64 " << base64(padded(saved(secret)), false) << '\n'
              << "public " << hex(saved(open_half)) << '\n'
              << "key " << hex(key) << '\n'
              << "wrapped " << hex(wrap(open_half, key)) << '\n'
              << "wrapped-long " << hex(wrap(open_half, key + string(16, 'x'))) << '\n'
              << "wrapped-short " << hex(wrap(open_half, key.substr(0, 15))) << '\n';
    for (size_t size : {size_t(0), size_t(1), size_t(15), size_t(16), size_t(17), size_t(32), text.size()})
        std::cout << "text-" << size << ' ' << hex(text.substr(0, size)) << '\n'
                  << "sealed-" << size << ' ' << hex(seal(key, text.substr(0, size))) << '\n';
    std::cout << "sealed-nul " << hex(seal(key, text + '\0')) << '\n'
              << "sealed-prefixed " << hex(iv + seal(key, text, iv)) << '\n';
}

static void write_identity(const string& file, const string& name, const string& id, const string& key)
{
    std::ofstream out(file, std::ios::binary);
    out << name << '\n' << id << '\n' << base64(key, true);
    if (!out.flush())
        throw std::runtime_error("cannot write " + file);
}

// As most of the classic programs read it: two lines, and then base64 to the end.
static void read_identity(const string& file)
{
    std::ifstream in(file, std::ios::binary);
    string name, id;
    if (!std::getline(in, name) || !std::getline(in, id))
        throw std::runtime_error("cannot read two lines from " + file);
    std::stringstream rest;
    rest << in.rdbuf();
    string der;
    StringSource(rest.str(), true, new Base64Decoder(new StringSink(der)));
    const RSA::PublicKey open_half(loaded<RSA::PrivateKey>(der));
    std::cout << name << '\n' << id << '\n' << hex(saved(open_half)) << '\n';
}

static void run(const std::vector<string>& arguments)
{
    const string verb = arguments.empty() ? "data" : arguments[0];
    const auto argument = [&](size_t at) { return arguments.at(at); };
    if (verb == "data") {
        print_data();
    } else if (verb == "generate") {
        const RSA::PrivateKey secret = generate();
        std::cout << hex(saved(secret)) << '\n' << hex(saved(RSA::PublicKey(secret))) << '\n';
    } else if (verb == "wrap") {
        std::cout << hex(wrap(loaded<RSA::PublicKey>(unhex(argument(1))), unhex(argument(2)))) << '\n';
    } else if (verb == "unwrap") {
        std::cout << hex(unwrap(loaded<RSA::PrivateKey>(unhex(argument(1))), unhex(argument(2)))) << '\n';
    } else if (verb == "seal") {
        std::cout << hex(seal(unhex(argument(1)), unhex(argument(2)))) << '\n';
    } else if (verb == "open") {
        std::cout << hex(open(unhex(argument(1)), unhex(argument(2)))) << '\n';
    } else if (verb == "write-identity") {
        write_identity(argument(1), argument(2), argument(3), unhex(argument(4)));
    } else if (verb == "read-identity") {
        read_identity(argument(1));
    } else {
        throw std::runtime_error("no such verb: " + verb);
    }
}

int main(int count, char** arguments)
{
    try {
        run(std::vector<string>(arguments + 1, arguments + count));
        return 0;
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
