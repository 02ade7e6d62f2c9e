"""New images, watched: have they drifted, how good is the champion on them, may they come in?"""
