// Seals a reading and prints it.
#include <twine-otr.h>

void setup() {
  // A real key comes from a random generator or a secure element, and the counter from memory that survives a reset.
  static const uint8_t key[16] = {0x42};
  static const uint8_t nonce[7] = {0, 0, 0, 0, 0, 0, 1};
  uint8_t reading[] = "21.5 C";
  uint8_t tag[8];
  twine128_otr_ctx ctx = TWINE128_OTR_CTX_INIT;

  Serial.begin(115200);
  if (twine128_otr_init(&ctx, key) != TWINE_OTR_OK ||
      twine128_otr_seal(&ctx, nonce, nullptr, 0, reading, sizeof reading, tag) != TWINE_OTR_OK) {
    Serial.println("not sealed");
  } else {
    for (uint8_t byte : reading) Serial.println(byte, HEX);
    for (uint8_t byte : tag) Serial.println(byte, HEX);
  }
  twine128_otr_clear(&ctx);
}

void loop() {}
