"""Grading of answers that nobody vouches for: how a class is graded is said in course_lib/authoring/GRADING.md."""
