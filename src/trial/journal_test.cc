#include "trial/journal.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"

namespace pare::trial {

class JournalTest : public testing::Test {
 protected:
  JournalTest() {
    char name[] = "/tmp/pare-journal-XXXXXX";
    directory_ = mkdtemp(name);
  }
  ~JournalTest() override { std::filesystem::remove_all(directory_); }

  static prove::Request request(int id, bool restart = false) {
    prove::Request r;
    r.id = id;
    r.kind = "baseline";
    r.restart = restart;
    return r;
  }
  std::string directory_;
};

TEST_F(JournalTest, AResumedRunFindsWhatWasFinishedAndNothingElse) {
  prove::Outcome outcome;
  outcome.pass = true;
  outcome.why = "";
  outcome.evidence = evidence::Evidence{};
  {
    auto journal = Journal::open(directory_, "q1", false);
    ASSERT_TRUE(journal);
    ASSERT_TRUE(journal->record(request(1), outcome));
  }
  auto resumed = Journal::open(directory_, "q1", true);
  ASSERT_TRUE(resumed) << resumed.error().message;
  EXPECT_EQ(resumed->finished(), 1u);
  auto found = resumed->find(request(1));
  ASSERT_TRUE(found && *found);
  EXPECT_TRUE((*found)->pass);
  EXPECT_TRUE((*found)->evidence.has_value());
  EXPECT_FALSE(*resumed->find(request(2)));
  EXPECT_FALSE(*resumed->find(request(1, true))) << "another request under the same id";
}

TEST_F(JournalTest, ATornLastLineIsDroppedAndTheRestKept) {
  {
    auto journal = Journal::open(directory_, "q1", false);
    ASSERT_TRUE(journal->record(request(1), prove::Outcome{}));
  }
  std::ofstream(directory_ + "/journal.jsonl", std::ios::app) << R"({"finished": 2, "requ)";
  auto resumed = Journal::open(directory_, "q1", true);
  ASSERT_TRUE(resumed);
  EXPECT_EQ(resumed->finished(), 1u);
  ASSERT_TRUE(resumed->record(request(2), prove::Outcome{}));
  EXPECT_EQ(Journal::open(directory_, "q1", true)->finished(), 2u);
}

TEST_F(JournalTest, AnotherQuestionOrAForgottenResumeLosesNothing) {
  {
    auto journal = Journal::open(directory_, "q1", false);
    ASSERT_TRUE(journal->record(request(1), prove::Outcome{}));
  }
  EXPECT_EQ(Journal::open(directory_, "q2", true).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(Journal::open(directory_, "q1", false).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(Journal::open(directory_, "q1", true)->finished(), 1u);
}

// As after a start that failed: the corrected command line is another question.
TEST_F(JournalTest, WithoutATrialThereIsNothingToResume) {
  { ASSERT_TRUE(Journal::open(directory_, "q1", false)); }
  EXPECT_TRUE(Journal::open(directory_, "q2", false));
  std::ofstream(directory_ + "/journal.jsonl") << "somebody's own\n";
  EXPECT_FALSE(Journal::open(directory_, "q2", false));
}

TEST_F(JournalTest, ALineThatIsNoneOfOursIsPassedOver) {
  {
    auto journal = Journal::open(directory_, "q1", false);
    ASSERT_TRUE(journal->record(request(1), prove::Outcome{}));
  }
  std::ofstream(directory_ + "/journal.jsonl", std::ios::app) << "{\"finished\": \"two\"}\n";
  EXPECT_EQ(Journal::open(directory_, "q1", true)->finished(), 1u);
}

TEST_F(JournalTest, AFinishedProofIsReplaced) {
  { ASSERT_TRUE(Journal::open(directory_, "q1", false)); }
  std::ofstream(directory_ + "/proof.json") << "{}";
  EXPECT_TRUE(Journal::open(directory_, "q1", false));
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/proof.json"));
}

}  // namespace pare::trial
