#include "base/text.h"

#include <gtest/gtest.h>

#include "base/time.h"

namespace pare::base {

TEST(Text, ShellQuotingRoundTripsThroughTheShellsRules) {
  EXPECT_EQ(shell_quote("plain-1.2/x"), "plain-1.2/x");
  EXPECT_EQ(shell_quote(""), "''");
  EXPECT_EQ(shell_quote("a b"), "'a b'");
  EXPECT_EQ(shell_quote("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_quote("$(x)"), "'$(x)'");
}

TEST(Text, NumbersAreWholeAndUnsigned) {
  EXPECT_EQ(parse_u64("8000"), 8000u);
  EXPECT_FALSE(parse_u64("-1"));
  EXPECT_FALSE(parse_u64("1x"));
  EXPECT_FALSE(parse_u64(""));
  EXPECT_FALSE(parse_u64("99999999999999999999"));
}

TEST(Text, NearestOffersOnlyWhatIsClose) {
  EXPECT_EQ(nearest("prov", {"prove", "observe"}), "prove");
  EXPECT_EQ(nearest("zzzzz", {"prove", "observe"}), "");
}

TEST(Text, Sha256MatchesThePublishedVectors) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Time, DurationsNeedAKnownUnit) {
  using std::chrono::milliseconds;
  EXPECT_EQ(parse_duration("250ms"), milliseconds(250));
  EXPECT_EQ(parse_duration("30s"), milliseconds(30'000));
  EXPECT_EQ(parse_duration("10m"), milliseconds(600'000));
  EXPECT_EQ(parse_duration("5"), milliseconds(5'000));
  EXPECT_FALSE(parse_duration("5 fortnights"));
  EXPECT_FALSE(parse_duration("s"));
}

TEST(Text, MarkupHasNoMeaningLeft) {
  EXPECT_EQ(escape_markup("<a href=\"x\">'&'\n\t\x01z"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&#10;\tz");
}

TEST(Text, LinesThatDifferInNumbersAloneBecomeTheSame) {
  EXPECT_EQ(without_numbers("12:30:01 retry 7 of 10"), "#:#:# retry # of #");
  EXPECT_EQ(without_numbers(""), "");
}

}  // namespace pare::base
