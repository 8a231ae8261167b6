#include "base/utf8.h"

#include <gtest/gtest.h>

namespace pare::base {

TEST(Utf8, WellFormedTextIsKeptAndOtherBytesAreSpelt) {
  for (const char* kept :
       {"", "/a b", "/caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf"})
    EXPECT_EQ(valid_utf8(kept), kept);
  EXPECT_EQ(valid_utf8("a\xff/b"), "a\\xff/b");
  EXPECT_EQ(valid_utf8("\xc3"), "\\xc3");
  EXPECT_EQ(valid_utf8("\xc0\xaf"), "\\xc0\\xaf") << "overlong";
  EXPECT_EQ(valid_utf8("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "a surrogate";
  EXPECT_EQ(valid_utf8("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond U+10FFFF";
  EXPECT_EQ(valid_utf8("\xe2\x82x"), "\\xe2\\x82x");
}

}  // namespace pare::base
