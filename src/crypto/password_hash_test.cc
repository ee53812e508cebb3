#include "crypto/password_hash.h"

#include <gtest/gtest.h>

namespace verge::crypto {
namespace {

TEST(PasswordHash, IsSaltedAndOfThatPasswordOnly) {
  const std::string hash = *hash_password("secret");
  EXPECT_TRUE(is_password_hash(hash)) << hash;
  EXPECT_TRUE(verify_password(hash, "secret"));
  EXPECT_FALSE(verify_password(hash, "Secret"));
  EXPECT_FALSE(verify_password(hash, ""));
  EXPECT_NE(*hash_password("secret"), hash);
}

// RFC 7914 section 12, the second vector.
TEST(PasswordHash, ReadsWhatOthersWrote) {
  const std::string hash =
      "$scrypt$ln=10,r=8,p=16$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSedmDDaxyevuUqD7m2DYMvfo"
      "swGQA";
  EXPECT_TRUE(verify_password(hash, "password"));
  EXPECT_FALSE(verify_password(hash, "passwort"));
}

TEST(PasswordHash, WhatIsNoneIsNeverRight) {
  for (const char* bad :
       {"", "secret", "$scrypt$", "$scrypt$ln=14,r=8,p=1$$", "$scrypt$ln=14,r=8,p=1$c2FsdA$c2hvcnQ",
        "$scrypt$ln=30,r=8,p=1$c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAA", "$scrypt$ln=14,r=8$c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAA",
        "$2b$12$abcdefghijklmnopqrstuv", "$scrypt$ln=14,r=8,p=1$c2FsdA=$AAAAAAAAAAAAAAAAAAAAAAAA"}) {
    EXPECT_FALSE(is_password_hash(bad)) << bad;
    EXPECT_FALSE(verify_password(bad, "secret")) << bad;
  }
}

}  // namespace
}  // namespace verge::crypto
